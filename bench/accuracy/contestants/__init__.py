"""Who takes part, each a script that reads jobs and prints a line of JSON for each when it is done."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Contestant:
    """script: in this folder, and its first words. ours: it runs frostline; else in the peers' environment."""

    name: str
    about: str
    script: str
    words: tuple[str, ...] = ()
    ours: bool = False


CONTESTANTS = {
    contestant.name: contestant
    for contestant in (
        Contestant(
            "scikit-learn", "StandardScaler, LogisticRegression, C of 7 by 3-fold cross-validation", "scikit", ("grid",)
        ),
        Contestant("LogisticRegressionCV", "StandardScaler, LogisticRegressionCV(cv=3)", "scikit", ("cv",)),
        Contestant("probe", "frostline fit --strategy probe", "frostline_fit", ("probe",), ours=True),
        Contestant("head2toe", "frostline fit --strategy head2toe", "frostline_fit", ("head2toe",), ours=True),
        Contestant("auto", "frostline fit", "frostline_fit", ("auto",), ours=True),
        Contestant("fastai", "fine_tune, its best of 1, 3 and 5 epochs by its own val", "fastai_best"),
    )
}
