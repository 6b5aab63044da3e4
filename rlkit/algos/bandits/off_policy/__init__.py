"""Off-policy evaluation and learning from decision logs.

    log = from_table(table, action="item", reward="click", prob="propensity", context=["age"])
    print(log)                                    # how well it covers
    print(evaluate(log, target, "dr", q=make_model))

`logs` reads them and says what they cover; `evaluation` has the estimators by name; `slates` those
for slates, `continuous` those for actions in R^d; `propensities` estimates what a log lacks,
`loggers` joins logs of several policies; `learning` trains policies; `importance` is adaptive
importance sampling with control variates.
"""

from typing import TYPE_CHECKING

from rlkit.lazy import lazily

if TYPE_CHECKING:
    from rlkit.algos.bandits.off_policy.evaluation import Estimate as Estimate
    from rlkit.algos.bandits.off_policy.evaluation import evaluate as evaluate
    from rlkit.algos.bandits.off_policy.logs.decision_log import DecisionLog as DecisionLog
    from rlkit.algos.bandits.off_policy.logs.overlap import Overlap as Overlap
    from rlkit.algos.bandits.off_policy.logs.overlap import overlap as overlap
    from rlkit.algos.bandits.off_policy.logs.tables import from_table as from_table

__getattr__, __dir__ = lazily(__name__, __file__)
