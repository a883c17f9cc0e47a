"""``rollout.name=hf``: a transformers model in one Ray actor per replica, in vLLM's place.

It has the same seams as vLLM: a replica with a server actor, and an adapter in the training worker that sends
the weights.
"""

import asyncio
import os

import ray
import torch
from verl.workers.rollout.base import BaseRollout
from verl.workers.rollout.replica import RolloutReplica, TokenOutput


class HFServer:
    """Answers `generate`; requests that wait together are generated together."""

    def __init__(self, path, limit, seed):
        from transformers import AutoModelForCausalLM

        torch.set_num_threads(1)
        torch.manual_seed(seed)
        self.model = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32).eval()
        self.limit, self.waiting, self.task, self.global_steps = limit, [], None, None

    def load(self, weights, global_steps):
        self.model.load_state_dict(weights, strict=False)
        self.global_steps = global_steps

    async def generate(self, prompt_ids, sampling_params, request_id, **_):
        future = asyncio.get_running_loop().create_future()
        self.waiting.append((list(prompt_ids), dict(sampling_params), future))
        if self.task is None:
            self.task = asyncio.ensure_future(self._soon())
        return await future

    async def _soon(self):
        await asyncio.sleep(0.05)
        batch, self.waiting, self.task = self.waiting, [], None
        for answer, (_, _, future) in zip(self._answers(batch), batch, strict=True):
            future.set_result(answer)

    @torch.no_grad()
    def _answers(self, batch):
        eos, longest = self.model.config.eos_token_id, max(len(p) for p, _, _ in batch)
        step = torch.tensor([[0] * (longest - len(p)) + p for p, _, _ in batch])
        mask = torch.tensor([[0] * (longest - len(p)) + [1] * len(p) for p, _, _ in batch])
        temperature = batch[0][1].get("temperature", 1.0)
        past, done, tokens, logps = None, torch.zeros(len(step), dtype=torch.bool), [], []
        for _ in range(self.limit):
            positions = (mask.cumsum(1) - 1).clamp(min=0)[:, -step.shape[1] :]
            output = self.model(
                step, attention_mask=mask, position_ids=positions, past_key_values=past, use_cache=True
            )
            past, z = output.past_key_values, output.logits[:, -1].float()
            logp = (z / (temperature or 1.0)).log_softmax(-1)
            token = z.argmax(-1, keepdim=True) if temperature == 0 else torch.multinomial(logp.exp(), 1)
            tokens.append(token)
            logps.append(logp.gather(1, token))
            done |= token[:, 0] == eos
            if done.all():
                break
            step, mask = token, torch.cat([mask, torch.ones_like(token)], 1)
        for ids, values in zip(torch.cat(tokens, 1).tolist(), torch.cat(logps, 1).tolist(), strict=True):
            n = ids.index(eos) + 1 if eos in ids else len(ids)
            yield TokenOutput(
                token_ids=ids[:n],
                log_probs=values[:n],
                stop_reason="completed",
                extra_fields={"global_steps": self.global_steps},
            )

    async def nothing(self, *args, **kwargs):
        """What a server does to its memory."""

    sleep = wake_up = clear_kv_cache = release_kv_cache = resume_kv_cache = nothing
    abort_all_requests = resume_generation = start_profile = stop_profile = nothing


class HFReplica(RolloutReplica):
    async def launch_servers(self):
        name = f"hf_server_{self.replica_rank}_0"
        settings = self.model_config.path, self.config.response_length, self.config.seed + self.replica_rank
        options = {"name": name, "max_concurrency": 1000, "num_cpus": 0}
        server = ray.remote(HFServer).options(**options).remote(*settings)
        self.servers, self._server_handle, self._server_address = [server], server, name


class HFAdapter(BaseRollout):
    """In the training worker: gathers the weights and hands them to the server through Ray."""

    def __init__(self, config, model_config, device_mesh, **_):
        super().__init__(config, model_config, device_mesh)
        self.name, self.server = f"hf_server_{os.environ['RANK']}_0", None

    async def resume(self, tags):
        pass

    async def release(self):
        pass

    async def update_weights(self, weights, global_steps=None, wire_format="named_tensors", **_):
        full = {name: tensor.detach().float().cpu().clone() for name, tensor in weights}
        self.server = self.server or ray.get_actor(self.name)
        await self.server.load.remote(full, global_steps)
