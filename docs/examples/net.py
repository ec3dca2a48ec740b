"""A network of one's own: a class, its weights, and a description of what it sees (net.json)."""

import torch


class Net(torch.nn.Module):
    """Two 3D convolutions; logits of one class."""

    def __init__(self, width: int = 8) -> None:
        super().__init__()
        self.layers = torch.nn.Sequential(
            torch.nn.Conv3d(1, width, 3, padding=1, padding_mode="replicate"), torch.nn.ReLU(),
            torch.nn.Conv3d(width, 1, 3, padding=1, padding_mode="replicate"),
        )

    def forward(self, scan: torch.Tensor) -> torch.Tensor:
        """Logits, (n, 1, z, y, x)."""
        return self.layers(scan)


def train(scans: torch.Tensor, masks: torch.Tensor, updates: int = 60) -> Net:
    """Teach it; scans and masks are (n, 1, z, y, x), the scans brought to mean 0 and deviation 1."""
    torch.manual_seed(0)
    net = Net()
    optimiser = torch.optim.Adam(net.parameters(), 1e-2)
    for _ in range(updates):
        optimiser.zero_grad()
        torch.nn.functional.binary_cross_entropy_with_logits(net(scans), masks).backward()
        optimiser.step()
    return net.eval()
