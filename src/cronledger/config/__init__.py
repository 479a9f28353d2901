"""The configuration: YAML files to settings, and settings with the registered jobs to definitions.

    files.py      which files: the root, its includes, the profile
    check.py      one small function per kind of value
    fields.py     every key there is, and its kind
    schedule.py   schedules and zones, read with the engine's own parser
    load.py       all of that to `Settings`
    pairing.py    which job in code an entry, an override or a bootstrap job means
    parameters.py what the job of an entry declares, against what the entry says
    resolve.py    pure: `Settings` and registry to `JobDefinition`s, an origin for every field, a revision

Invariants: whatever the bytes of a file, reading it gives settings or one ConfigError; the error tells every
problem of every file, with its place; nothing is guessed, and nothing that is wrong starts. A word in a file
never becomes an import, but for `scheduler.extensions`. Secrets stay references until they are used.
"""
