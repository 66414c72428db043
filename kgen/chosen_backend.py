"""Importing this module chooses the backend; modules import it before Keras."""

from kgen.backend_choice import choose_backend

choose_backend()
