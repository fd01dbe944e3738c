"""The Python side of a Sluicegate worker: `zygote` forks, `worker` serves."""
