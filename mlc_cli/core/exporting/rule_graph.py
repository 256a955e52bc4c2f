"""Label rules inside a graph.

Names of arrays: N images, C classes, R rivals of a class, A classes that a class implies.
"""

import torch
from torch import Tensor, nn

from mlc_cli.core.inference.runtime.metadata import threshold_logits
from mlc_cli.core.runs.card import ModelCard

GAP = 1e-5
"""How far below its threshold a forbidden label is at least, in logits."""
_NONE = -1e4


class RuleMargins(nn.Module):
    """From logits to margins above the thresholds, N×C, that decide as `BoundRules` does.

    The margin of a label is the smallest, over itself and all that it implies, of logit - threshold
    and of the lead over the most probable label that excludes it. It changes nowhere by a jump of
    more than `GAP`, so that rounding moves it as little as a logit.
    """

    thresholds_C: Tensor
    rivals_CR: Tensor
    first_CR: Tensor
    above_CA: Tensor

    def __init__(self, card: ModelCard) -> None:
        super().__init__()
        rules, classes = card.bound, range(len(card.classes))
        above = [rules.ancestors[c] for c in classes]
        together = [{o for own in rules.groups if c in own for o in own} for c in classes]
        rivals = [sorted(own - {c}) for c, own in enumerate(together)]
        depth, width = max(map(len, above)), max(map(len, rivals))
        above_CA = [[*own, *[own[0]] * (depth - len(own))] for own in above]
        rivals_CR = torch.tensor([[*own, *[len(classes)] * (width - len(own))] for own in rivals])
        chosen = card.thresholds or [0.5] * len(classes)
        self.register_buffer("thresholds_C", torch.from_numpy(threshold_logits(chosen)))
        self.register_buffer("above_CA", torch.tensor(above_CA))
        self.register_buffer("rivals_CR", rivals_CR.long())
        self.register_buffer("first_CR", rivals_CR < torch.arange(len(classes))[:, None])

    def forward(self, logits_NC: Tensor) -> Tensor:
        """Margins; at least 0 for the labels that are present."""
        margins_NC = logits_NC - self.thresholds_C
        if self.rivals_CR.numel():
            others_NCR = nn.functional.pad(logits_NC, (0, 1), value=_NONE)[:, self.rivals_CR]
            own_NC1 = logits_NC[..., None]
            ahead_NCR = (others_NCR > own_NC1) | ((others_NCR == own_NC1) & self.first_CR)
            lead_NC = (own_NC1 - others_NCR).amin(-1)
            beaten_NC = ahead_NCR.any(-1)
            lead_NC = torch.where(beaten_NC, lead_NC.clamp(max=-GAP), lead_NC)
            margins_NC = torch.minimum(margins_NC, lead_NC)
        least_NC = margins_NC[:, self.above_CA].amin(-1)
        return torch.where(least_NC < 0, least_NC.clamp(max=-GAP), least_NC)
