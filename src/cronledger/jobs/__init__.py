"""What an extension author imports: jobs, their results, their context, and how extensions provide them.

A job is a class with a name and an async `execute(ctx)`, or a decorated function. It does nothing by itself:
configuration says when it runs. Nothing here knows a database or the engine.
"""
