"""The recipe `salah2023`: a 2D U-Net over slices, as Salah et al. published it at MIUA 2023. Loads torch only where a round learns."""
