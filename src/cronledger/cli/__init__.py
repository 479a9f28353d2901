"""The command line: every command parses, makes one call, and hands the answer to `render.emit`.

Owns the names of commands and flags, the forms of output and the exit codes. Decides nothing: rules live in
`domain`, questions in `projections`, running in `scheduler`. Importing a command module is cheap; what is
heavy (the database, YAML) is imported inside the command that needs it.
"""
