"""What a cell may be: one module a kind of system, all with the same functions.

A kind whose cells are computed whole may leave out `WARM`, `INCIDENTAL`, `alike`, `stacked` and
`datasets`: `whole` has them.

    TASK                      keys of which a task must have one
    KNOWN                     every option of a cell
    WARM                      modules of weight that its cells need, imported once for all of them
    INCIDENTAL                options that say how a cell is kept, and may change later
    takes(given)              -> options and fields of the config that the system of `given` takes:
                                 a sweep's defaults reach those alone
    resolve(given, seed)      -> the options of a cell, checked, as JSON; among them all that decide
                                 its result
    lanes(options)            -> most cells that one process should hold as lanes
    alike(options)            -> what cells must have in common to share a run
    stacked(many)             -> options of a run whose lanes have these ones
    measured(options)         -> name of the score, and unit of the steps it is measured at
    evaluations(options, steps) -> how many a cell of so many steps has
    datasets(options)         -> datasets that must be there before it starts
    work(folder, options, seeds, steps, told) -> None; trains on what stands in `folder`

`resolve` raises UsageError naming what is wrong. `work` calls `told(step)` as it goes, writes
`config.json` and `episodes.csv`, and may be killed at any moment and called again.
"""
