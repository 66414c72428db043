"""Importing this module chooses the backend: what needs Keras imports it before Keras."""

from kgen.backend_choice import choose_backend

choose_backend()
