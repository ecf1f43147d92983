"""The one training loop, behind `Context.fit`: every weight that kdbench trains is trained here."""

from kdbench.training.loop import Examples as Examples
from kdbench.training.loop import History as History
from kdbench.training.loop import Training as Training
from kdbench.training.loop import computing_in as computing_in
from kdbench.training.loop import rate_factor as rate_factor
from kdbench.training.scoring import decisive_metric as decisive_metric
from kdbench.training.scoring import score as score
