"""AEnt in plain torch, without the library: the whole method on one page, in seconds on a CPU.

A policy answers 16 questions. Each has 1,000 possible answers, and 4 of them are right. The policy starts
out knowing a little; policy gradient then makes it better and, left alone, puts everything on one answer.
AEnt adds the entropy over the likeliest answers to the objective and moves its coefficient so that this
entropy stays in a band.

    python examples/entropy_loop.py
"""

import torch

QUESTIONS, ANSWERS, RIGHT = 16, 1000, 4
SAMPLES, STEPS, LEARNING_RATE = 32, 400, 0.05

DROP = 0.33  # the share of the answers left out of the entropy: the least likely ones
LOW, HIGH = 0.9, 1.1  # the band, nats per answer; log(4) = 1.39 would be all right answers alike
COEF, COEF_LR, COEF_MIN, COEF_MAX = 0.02, 0.01, 0.01, 0.5


def clamped_entropy(logits):
    """Entropy (nats) of the policy renormalised on its likeliest answers, one value per row."""
    kept = logits.topk(ANSWERS - int(DROP * ANSWERS)).values  # which ones: no gradient; how much: gradient
    log_q = kept.log_softmax(-1)
    return -(log_q.exp() * log_q).sum(-1)


def train(adaptive):
    """Train once and print what happens; return the last entropy, coefficient and reward."""
    torch.manual_seed(0)
    start = torch.randn(QUESTIONS, ANSWERS)
    start[:, :RIGHT] += 3  # it knows a little: the first four answers are right, and likelier than most
    logits = start.requires_grad_()
    optimizer = torch.optim.Adam([logits], lr=LEARNING_RATE)
    coef = COEF if adaptive else 0.0
    print(f"\n{'AEnt' if adaptive else 'policy gradient alone'}")
    print("step  reward  clamped entropy  coefficient  answers in use")

    for step in range(STEPS + 1):
        # Roll out: some answers to every question, judged, compared with the others to the same question
        policy = torch.distributions.Categorical(logits=logits)
        answers = policy.sample((SAMPLES,))
        rewards = (answers < RIGHT).float()
        advantages = rewards - rewards.mean(0)

        # The loss: policy gradient, minus the bonus
        entropy = clamped_entropy(logits).mean()
        loss = -(advantages * policy.log_prob(answers)).mean() - coef * entropy

        if step % 50 == 0:
            used = policy.entropy().mean().exp()
            print(f"{step:4d}  {rewards.mean():6.2f}  {entropy:15.2f}  {coef:11.3f}  {used:14.1f}")

        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

        # The controller: up below the band, down above it, at rest inside, never out of its box
        if adaptive:
            outside = min(0.0, entropy.item() - LOW) + max(0.0, entropy.item() - HIGH)
            coef = min(max(coef - COEF_LR * outside, COEF_MIN), COEF_MAX)

    return {"entropy": entropy.item(), "coef": coef, "reward": rewards.mean().item()}


if __name__ == "__main__":
    train(adaptive=False)
    train(adaptive=True)
