"""Published architectures, one file each; `building.build` makes one from its entry in the catalogue."""
