"""Training in three stages: the command `idol-train`.

| question | module |
|---|---|
| what can be set, within what limits, and what is it by default | `config`, `limits`, `defaults` |
| which datasets are trained on, and what must they have | `parts`, `requirements` |
| what is one step, and the whole loop | `step`, `loop` |
| how do clips become latents | `prepare` |
| where does all randomness come from | `noise` |
| what is built, and from what | `start`, `spread` |
| what is kept, and how does a run go on | `checkpoint`, `resume`, `frozen` |
| what if something goes wrong | `guard`, `interrupt`, `memory` |
| what is seen of it, and when | `reporter`, `pace` |
| where does it go | `report`, `values`, `journal`, `progress` |
| how good is it | `validation` |
| what does it look like | `figures`: `samples`, `flow`, `curves` |
"""
