"""Losses of the catalogue, a file for each family; `building.build` makes one from words such as `ce + 0.5*dice`."""
