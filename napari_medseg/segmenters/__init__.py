"""Networks and engines that turn a volume and prompts into labels, live; importing this room does not load torch."""

from napari_medseg.segmenters.protocol import Capabilities, Focus, Prediction, Segmenter, collect, to_labels

__all__ = ["Capabilities", "Focus", "Prediction", "Segmenter", "collect", "to_labels"]
