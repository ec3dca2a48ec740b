"""Engines people already use: one small file each, loaded only when it runs. Importing this room loads none of them."""
