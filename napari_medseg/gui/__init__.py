"""Views only: layers and volumes, docks, keys; the only room that imports qtpy or napari."""
