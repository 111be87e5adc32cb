"""A page in the browser to generate by: `idol-app`. It stands on `idol.generate` and `idol.render`.

| question | module |
|---|---|
| which settings are shown, and which command line they are | `form` |
| how is a video made, watched and stopped; what is kept meanwhile | `work` |
| which clips are offered | `clips` |
| what does the page look like, what do its buttons do | `page` |
| who may open it; which files it gives | `server` |
"""
