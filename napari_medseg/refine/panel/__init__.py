"""Several networks of the catalogue that answer together: the ensemble of Gil et al., and the best by cross-validation."""
