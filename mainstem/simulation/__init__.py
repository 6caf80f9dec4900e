"""What would differ if a connector were missing, or the policy another one. Begin with `supposition.py`."""
