"""A run whose head reads all stages: the network is wrapped before anything is computed, and says what it then is."""

from dataclasses import replace

from frostline.events import Listener, Note
from frostline.net.all_stages import HEAD, AllStages
from frostline.net.head import Head
from frostline.net.stages import Stages, stages
from frostline.net.zoo import Backbone


def over_all_stages(backbone: Backbone, classes: int, tell: Listener) -> tuple[Backbone, Stages]:
    """The backbone with a head over all its stages, and the stages by their new names.

    Raises: PlanError: it does not give what its stages see.
    """
    net = AllStages(backbone.net, classes).eval()
    tell(Note(f"the head reads {sum(net.widths):,} features of {len(net.widths) - 1} stages and of the backbone's end"))
    tell(
        Note(
            "the model folder will be no plain timm folder: frostline opens it, and its graph, exports and "
            "`frostline predict` work as ever; the plain head is in it too, as net.*"
        )
    )
    head = Head(HEAD, sum(net.widths))
    return replace(backbone, net=net, head=head), stages(net)
