"""Video with depth as something to look at from all sides: the paper's Fig. 1, right.

    from idol.render.footage import Footage
    from idol.render.relief import Shape, relief_of

It knows arrays alone; `read` is the one file that reads folders, videos and shards.

| question | module |
|---|---|
| what goes in; what all renderings are made of | `footage`, `relief` |
| the camera, and its orbit | `camera` |
| what is behind the person | `backdrop` |
| how surfaces are cut where depth jumps; what they are in space | `surface`, `scene` |
| pictures on the CPU; the turntable | `tracing`, `turntable` |
| the page; meshes, EXR and side-by-side videos | `page`, `meshes`, `files` |
"""
