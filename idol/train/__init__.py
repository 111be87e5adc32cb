"""Training in three stages: the command `idol-train`.

| question | module |
|---|---|
| what is done, from the command to the final model | `cli`, `train` |
| what is one step, and the whole loop | `loop` |
| what changes while it trains, and is saved and loaded as one | `run`, `optimizer` |
| what does a stage start from | `initialize`, `before` |
| how do several processes share the work | `distributed` |
| what must be the same for a run to resume | `resume` (checkpoints: `idol.checkpoint`) |
| what if something goes wrong, or it is stopped | `stopping`, `memory` |
| what is reported when, and where it is written | `monitor`, `log` |
| how good is it, and what does it look like | `validation`; `samples`, `curves` |

Settings are in `idol.config`; datasets, and clips as latents and conditions, in `idol.data`.
"""
