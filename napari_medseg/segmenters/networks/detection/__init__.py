"""What networks that find objects share: boxes, regions of feature maps, anchors, proposals, targets made of label maps."""
