"""`mainstem mcp`: the HTTP API's answers as tools for a language model in an incident. Read `tools.py` first.

It is a client of the API and nothing else: tokens, tenants and what may be read are decided there, and it needs no
database.
"""
