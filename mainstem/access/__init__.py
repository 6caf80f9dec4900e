"""Who may do what: the API's tokens and their scopes, and the log of what was changed through it."""
