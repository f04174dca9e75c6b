"""What stands around a model in public training scripts: switches of backends, mixed precision, compile, ranks, endless samplers."""

import io
import os
from contextlib import nullcontext

import torch
import torch.backends.cudnn as cudnn
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import nn
from torch.amp import GradScaler
from torch.cuda.amp import autocast
from torch.nn.parallel import DistributedDataParallel as DDP
from torch.optim.adamw import AdamW
from torch.optim.lr_scheduler import _LRScheduler
from torch.utils.data import Dataset
from torch.utils.data.dataloader import DataLoader
from torch.utils.data.distributed import DistributedSampler


class Pairs(Dataset):
    def __len__(self):
        return 12

    def __getitem__(self, i):
        return torch.tensor([float(i), 1.0]), torch.tensor(i % 3)


class Halve(_LRScheduler):
    def get_lr(self):
        return [base * 0.5**self.last_epoch for base in self.base_lrs]


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 3))

    @autocast(enabled=False)
    def forward(self, x):
        return self.net(x)


def endless():
    sampler = torch.utils.data.RandomSampler(Pairs(), replacement=True, num_samples=int(1e10))
    return iter(DataLoader(Pairs(), sampler=sampler, batch_size=4, pin_memory=True))


def build():
    return Net()


def run(model):
    torch.backends.cuda.matmul.allow_tf32 = True
    torch.backends.cudnn.allow_tf32 = True
    cudnn.deterministic = True
    torch.use_deterministic_algorithms(True)
    main = not dist.is_initialized() or dist.get_rank() == 0
    distributed = int(os.environ.get("RANK", -1)) != -1
    device = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    ctx = nullcontext() if device == "cpu" else torch.amp.autocast(device_type=device, dtype=torch.float16)
    raw = model
    model = torch.compile(model, disable=True)
    if distributed:
        model = DDP(model)
    optimizer = AdamW(raw.parameters(), lr=0.1, fused=False)
    schedule = Halve(optimizer)
    off, on = GradScaler(enabled=False), GradScaler("cpu", init_scale=8.0, growth_interval=2)
    x = torch.stack([Pairs()[i][0] for i in range(12)])
    y = torch.stack([Pairs()[i][1] for i in range(12)])
    losses, scales = [], []
    for step in range(4):
        scaler = on if step else off
        for _ in range(2):
            with ctx:
                loss = nn.functional.cross_entropy(model(x), y) / 2
            scaler.scale(loss).backward()
        if step == 2:  # a step that is left out
            raw.net[0].bias.grad[0] = float("inf")
        scaler.unscale_(optimizer)
        torch.nn.utils.clip_grad_norm_(raw.parameters(), 1.0)
        scaler.step(optimizer)
        scaler.update()
        optimizer.zero_grad(set_to_none=True)
        schedule.step()
        losses.append(loss.item())
        scales.append(scaler.get_scale())
    file = io.BytesIO()
    torch.save({"model": raw.state_dict(), "scaler": on.state_dict(), "best": loss.detach(), "config": {"n": 2}}, file)
    file.seek(0)
    loaded = torch.load(file, map_location=device)
    raw.load_state_dict({k.removeprefix("_orig_mod."): v for k, v in loaded["model"].items()})
    before = torch.random.get_rng_state()
    with torch.random.fork_rng():
        torch.manual_seed(7)
        torch.rand(3)
    parts = [list(DistributedSampler(Pairs(), num_replicas=5, rank=r, shuffle=False)) for r in range(5)]
    batch, labels = next(endless())
    assert mp.get_start_method(allow_none=True) in (None, "fork", "spawn", "forkserver")
    return {
        "main": main, "losses": losses, "scales": scales, "weights": list(raw.parameters()),
        "kept": torch.equal(before, torch.random.get_rng_state()), "parts": parts, "best": loaded["best"],
        "saved": {k: v for k, v in loaded["scaler"].items() if k in ("scale", "_growth_tracker")},
        "drawn": [list(batch.shape), labels.dtype], "lr": schedule.get_last_lr(),
    }  # fmt: skip
