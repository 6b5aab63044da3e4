"""The looks of a report: quiet, readable on a desk, on a phone, in the dark and on paper."""

CSS = """
:root{color-scheme:light dark;--ground:#fff;--panel:#f6f6f4;--text:#23272b;--link:#0b5c94;
--note:#fff6dc;--edge:#e0c568;--up:#dff2e6;--down:#fae3dc;--up-ink:#14663a;--down-ink:#99361a}
@media screen and (prefers-color-scheme:dark){:root{--ground:#17191b;--panel:#202326;--text:#e4e4e2;
--link:#8cc4ee;--note:#2c2817;--edge:#7d6a2a;--up:#173524;--down:#412318;--up-ink:#8fdcb0;
--down-ink:#f3aa90}}
*{box-sizing:border-box}
html{scroll-behavior:smooth;-webkit-text-size-adjust:100%}
body{margin:0 auto;padding:28px 32px 80px;max-width:1240px;background:var(--ground);
color:var(--text);font:15px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
h1{font-size:27px;line-height:1.2;margin:0 0 4px;letter-spacing:-.01em}
h2{font-size:20px;margin:52px 0 12px;padding-top:10px;border-top:1px solid var(--line)}
h3{font-size:16px;margin:30px 0 6px}h4{font-size:14px;margin:14px 0 4px}
header p{margin:0;color:var(--faint)}
a{color:var(--link)}
td a,th a{color:inherit;text-decoration:none;border-bottom:1px dotted var(--line)}
td a:hover,th a:hover{color:var(--link);border-bottom-color:currentColor}
td.l a{color:var(--link)}
nav{display:flex;flex-wrap:wrap;gap:4px 18px;margin:18px 0 0;font-size:14px}
nav a{text-decoration:none}
.notes{background:var(--note);border-left:3px solid var(--edge);border-radius:2px;margin:18px 0 0;
padding:10px 16px}
.notes ul{margin:0;padding-left:18px}.notes li{margin:3px 0;max-width:100ch;overflow-wrap:anywhere}
.note{color:var(--faint);font-size:13px;max-width:92ch;margin:8px 0 0}
.scroll{overflow-x:auto;max-width:100%;-webkit-overflow-scrolling:touch}
table{border-collapse:collapse;font-size:14px;font-variant-numeric:tabular-nums;line-height:1.35}
th,td{padding:5px 0 5px 20px;text-align:right;white-space:nowrap;vertical-align:baseline}
thead th{font-weight:500;color:var(--faint);font-size:13px;border-bottom:1px solid var(--line);
vertical-align:bottom}
tbody tr+tr>*{border-top:1px solid var(--line)}
th.l,td.l{text-align:left}th:first-child{padding-left:2px}
tbody th{font-weight:500}tbody th:first-child,thead th:first-child{position:sticky;left:0;
background:var(--ground)}
td.i{padding-left:7px;padding-right:6px;text-align:left;font-size:12px;color:var(--faint)}
thead th[colspan]{padding-right:26px}
td.w{white-space:normal;min-width:260px;overflow-wrap:anywhere}
td i,th i{font-style:normal;color:var(--faint);font-size:12px}
td.up{background:var(--up)}td.down{background:var(--down)}
td.up,td.up a{color:var(--up-ink)}td.down,td.down a{color:var(--down-ink)}
#differences td.up,#differences td.down{background:none}
tr:target>*{background:var(--note)}
.figures{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(330px,100%),1fr));
gap:26px 34px;margin-top:20px}
figure{margin:0}figure svg{display:block;width:100%;max-width:440px;height:auto;overflow:visible}
.clips{display:grid;gap:26px;margin-top:16px}.clips video,.clips img{display:block;max-width:100%;
height:auto;border:1px solid var(--line);border-radius:3px}
figcaption{font-size:13.5px;color:var(--faint);margin:6px 0 0;max-width:100ch}
.pair{display:grid;grid-template-columns:minmax(0,1fr) minmax(0,400px);
gap:14px 44px;align-items:start}
.pair .figures{margin-top:4px}
.legend{display:flex;flex-wrap:wrap;gap:2px 20px;margin:18px 0 0;font-size:13.5px}
.legend span{display:inline-flex;align-items:center;gap:7px}.legend svg{flex:none}
details{margin:8px 0}summary{cursor:pointer;padding:3px 0}
details>.scroll{padding-left:16px}code{font-size:.93em}
#configurations td,#configurations tbody th{font:12.5px/1.4 ui-monospace,Menlo,Consolas,monospace}
#configurations td{white-space:pre-wrap;overflow-wrap:anywhere}
@media(max-width:980px){.pair{grid-template-columns:minmax(0,1fr)}}
@media(max-width:560px){body{padding:18px 16px 60px}h1{font-size:23px}h2{margin-top:40px}
table{font-size:13px}th,td{padding-left:8px}td.i{padding:5px 0 5px 4px}
td.i,td i{font-size:11px}
tbody th:first-child{max-width:42vw;
white-space:normal;overflow-wrap:break-word}
details>.scroll{padding-left:0}}
@media print{body{padding:0;max-width:none;font-size:10.5pt}nav{display:none}
section,article,figure,tr{break-inside:avoid}section{break-inside:auto}.scroll{overflow:visible}
table{font-size:8.5pt}h2{margin-top:26px}}
"""
