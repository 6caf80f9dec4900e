"""How a configuration comes to be: files, variables and substitution in, one frozen `mainstem.config.Config` out.

Read `loading.py` first.
"""
