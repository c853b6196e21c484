# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Adam은 가중치 하나에 무슨 일을 하는가?
#
# 옵티마이저 하나를 수식에서 MNIST까지 따라간다. 먼저 가중치 하나를 놓고 수식의 각 줄이 어떤
# 수를 만드는지 손으로 계산하고, 다음으로 포물선에서, 끝으로 신경망에서 살펴본다. 편향 보정이
# 무엇을 바꾸는지도 본다.

# %%
import nnscratch as nn  # isort: skip  # 맨 먼저: 행렬 곱의 커널을 고른다

# %matplotlib inline
import inspect
import os

import exercises
import matplotlib.pyplot as plt
import numpy as np
from IPython.display import display

FAST = "NNSCRATCH_FAST" in os.environ  # 테스트에서만 켠다: 몇 초 안에 끝나야 한다
plt.style.use("notebooks.mplstyle")
exercises.speak("한국어")

# %% [markdown]
# ## 수식
#
# Kingma와 Ba(2014, arXiv 1412.6980)의 알고리즘 1이다. $w$는 가중치, $g$는 그 기울기이다. $m$과
# $v$는 0에서 출발하고, $t$는 갱신 횟수로 첫 갱신이 1이다.
#
# $$\begin{aligned}
# m &\leftarrow \beta_1 m + (1 - \beta_1)\, g
#   && \text{기울기의 평균: 모멘텀} \\
# v &\leftarrow \beta_2 v + (1 - \beta_2)\, g^2
#   && \text{기울기 제곱의 평균: RMSProp} \\
# \hat m &= m / (1 - \beta_1^t), \quad \hat v = v / (1 - \beta_2^t)
#   && \text{0에서 출발한 데 대한 편향 보정} \\
# w &\leftarrow w - \eta\, \hat m / (\sqrt{\hat v} + \epsilon)
#   && \text{한 걸음}
# \end{aligned}$$
#
# 기본값은 $\eta = 0.001$, $\beta_1 = 0.9$, $\beta_2 = 0.999$, $\epsilon = 10^{-8}$이다. 강의
# 자료에서는 $\epsilon$을 흔히 제곱근 안에 두지만, 논문에서는 밖에 있다. 이 패키지에는 둘 다 있다:
# `eps`는 밖에, `eps_root`는 안에 더한다.
#
# ## 코드
#
# 이 패키지에서 옵티마이저는 이런 수들의 묶음과 수식 하나이다. Adam의 수식은 아래 함수이다. 별표
# 뒤에 있는 것이 수이고, 두 보정값은 모든 가중치에 똑같으므로 갱신마다 한 번만 계산한다.

# %%
Adam = nn.OPTIMIZERS["adam"]
print(inspect.getsource(Adam.scalars))
print(inspect.getsource(Adam.rule))

# %% [markdown]
# ## 손으로 세 걸음
#
# 가중치 하나가 1에 있고, 미니배치가 줄 법한 기울기 세 개를 차례로 받는다. 변화가 보이도록 학습률을
# 0.1로 둔다.

# %%
lr, beta1, beta2, eps = 0.1, 0.9, 0.999, 1e-8
gradients = [0.5, 0.1, -0.2]

w_by_hand, m, v = 1.0, 0.0, 0.0
w, state, optimizer = np.array([1.0]), {}, Adam(lr=lr)

print(
    f"{'t':>2} {'g':>6} {'m':>9} {'v':>10} {'m_hat':>8} {'v_hat':>8} {'step':>9} {'w':>8}  update"
)
for t, g in enumerate(gradients, start=1):
    m = beta1 * m + (1 - beta1) * g
    v = beta2 * v + (1 - beta2) * g**2
    m_hat = m / (1 - beta1**t)
    v_hat = v / (1 - beta2**t)
    step = -lr * m_hat / (np.sqrt(v_hat) + eps)
    w_by_hand += step

    optimizer.update(w, np.array([g]), state)  # 같은 일을 패키지로

    numbers = f"{m:9.5f} {v:10.7f} {m_hat:8.5f} {v_hat:8.5f} {step:9.5f} {w_by_hand:8.5f}"
    print(f"{t:2} {g:6.1f} {numbers} {w[0]:8.5f}")

hand_error = abs(w[0] - w_by_hand)
print(f"\nupdate가 기억하는 것: t = {state['t']}, m = {state['m']}, v = {state['v']}")

# %% [markdown]
# 첫 줄을 눈여겨보자. $m$은 기울기의 10분의 1이고 $v$는 기울기 제곱의 1000분의 1이다. 보정하면
# 둘은 바로 $g$와 $g^2$이 되므로, 첫 걸음은 $\eta\, g / |g|$이다. 곧 기울기의 크기가 얼마든 보폭은
# 학습률과 같다.
#
# 세 번째 걸음에서는 기울기의 부호가 평균의 부호와 반대인데도 가중치가 가던 쪽으로 계속 간다. 이것이
# 모멘텀이다.

# %% [markdown]
# ## 포물선 두 개 위에서
#
# $f(w) = \frac{1}{2}(c_1 w_1^2 + c_2 w_2^2)$이다. 가중치마다 포물선이 하나씩 있고 곡률은 1과
# 100이며, (1, 1)에서 출발한다. 경사 하강법은 둘에 같은 학습률을 쓴다. 그래서 학습률은 가파른 쪽에
# 묶이고 완만한 쪽은 한참 기다려야 한다. Adam은 기울기의 크기로 나누므로 곡률이 약분되어 사라진다.

# %%
curvature = np.array([1.0, 100.0])
steps = 100


def walk(optimizer):
    """갱신할 때마다의 가중치."""
    w, state = np.array([1.0, 1.0]), {}
    path = [w.copy()]
    for _ in range(steps):
        optimizer.update(w, curvature * w, state)
        path.append(w.copy())
    return np.array(path)


paths = {"sgd, lr 0.018": walk(nn.OPTIMIZERS["sgd"](lr=0.018)), "adam, lr 0.1": walk(Adam(lr=0.1))}
longest_step = np.abs(np.diff(paths["adam, lr 0.1"], axis=0)).max()
unlike = np.abs(np.diff(paths["adam, lr 0.1"], axis=1)).max()

figure, axes = plt.subplots(1, 2, sharey=True)
for ax, (name, path) in zip(axes, paths.items(), strict=True):
    ax.plot(path[:, 0], label="$w_1$, curvature 1")
    ax.plot(path[:, 1], "--", label="$w_2$, curvature 100")
    ax.axhline(0, color="grey", lw=0.8)
    ax.set(title=name, xlabel="updates")
axes[0].set_ylabel("weight")
axes[0].legend()
figure.supxlabel(
    f"From (1, 1), n = {steps} updates. With Adam both weights take the same path: they are "
    f"{unlike:.0e} apart at most."
)
plt.show()
print(f"Adam의 가장 긴 걸음은 {longest_step:.3f}이고, 학습률은 0.1이다.")
print(f"0을 지나쳐 {paths['adam, lr 0.1'].min():.2f}까지 간다: 모멘텀은 0에서 멈추지 않는다.")

# %% [markdown]
# ## 실제 신경망의 가중치 하나
#
# `nn.microscope`는 784-1000-10 신경망의 사본을 몇 걸음 학습시키면서, 수식이 가중치 하나에서 만드는
# 값을 모두 적어 둔다. 그 가중치는 첫 기울기가 가장 큰 것이다. `g`는 기울기, `moved`는 이동량이다.

# %%
data = nn.load_dataset(limit=1000 if FAST else 10_000)
hidden, seeds = (100, 1) if FAST else (1000, 3)
print(f"{data.name}: 학습 이미지 {len(data.train):,}장, 검증 이미지 {len(data.val):,}장")

steps = 5 if FAST else 20
loader = nn.mini_batch(data.train, 128)
trace = nn.microscope("adam", steps, model=nn.MLP([784, hidden, 10]), loader=loader)
print(trace)

# %% [markdown]
# 세 번째 걸음을 수식의 줄마다 숫자를 넣어 보면 다음과 같다.

# %%
print(trace.written(3))

# %%
figure = trace.figure()
first, *others = (abs(row["moved"]) for row in trace.rows)
figure.supxlabel(
    f"One weight, n = {steps} steps, {data.name}, batches of 128. The first step is {first:.2g}, "
    f"the others {min(others):.2g} to {max(others):.2g}.",
    fontsize=9,
)
display(figure)

# %% [markdown]
# ## 편향 보정은 왜 필요한가
#
# $m$과 $v$는 0에서 출발하므로 처음에는 너무 작다. 그래서 어느 강의에서는 보정이 없으면 Adam의
# 출발이 느리다고 한다([바로잡은 것 모음](../experiments/CORRECTIONS.md)). 그러나 보폭은
# $m / \sqrt{v}$이고, $v$가 더 오래 작은 채로 남는다. 갱신할 때마다 기울기가 1이라고 하고 보폭을
# 살펴보자. 보정한 보폭은 언제나 학습률과 같다.

# %%
lengths = {}
for name in ("adam", "adam_uncorrected"):
    w, state, optimizer = np.array([0.0]), {}, nn.OPTIMIZERS[name](lr=1.0)
    track = [0.0]
    for _ in range(5000):
        optimizer.update(w, np.array([1.0]), state)
        track.append(w[0])
    lengths[name] = -np.diff(track)

raw = lengths["adam_uncorrected"]
peak = int(raw.argmax()) + 1

figure, ax = plt.subplots(figsize=(7, 3.6))
for name, found in lengths.items():
    ax.semilogx(np.arange(1, len(found) + 1), found, label=name)
ax.set(xlabel="update t", ylabel="step (in learning rates)", ylim=(0, 7.5))
ax.legend()
figure.supxlabel(
    f"Steps under a constant gradient, n = {len(raw)} updates. Without correction the first is\n"
    f"{raw[0]:.2f} learning rates and the longest, at t = {peak}, {raw[peak - 1]:.2f}: the "
    f"correction makes steps {'shorter' if raw.max() > 1 else 'longer'}."
)
plt.show()

# %% [markdown]
# ## MNIST에서
#
# 신경망을 학습시키는 것은 세 줄이다. 기울기를 구하고, 갱신하고, 다음 배치로 간다. 두 옵티마이저는
# 같은 가중치에서 출발하여 같은 배치를 보고, 시드가 다르면 가중치와 배치가 달라진다. 학습률을 열
# 배로 키우면 지나치게 긴 처음 몇 걸음이 어떤 결과를 낳는지 드러난다.


# %%
def train(name, lr, seed):
    """한 에포크 동안 각 배치의 손실과, 그 뒤 검증 이미지의 정확도."""
    model = nn.MLP([784, hidden, 10], seed=seed)
    optimizer, state = nn.OPTIMIZERS[name](lr=lr), {}
    losses = []
    for x, labels in nn.mini_batch(data.train, 128, seed=seed):
        losses.append(model.loss_and_grad(x, labels))  # 기울기는 이제 model.dw에 있다
        optimizer.update(model.w, model.dw, state)  # 가중치가 움직였다
    return losses, model.evaluate(data.val.x, data.val.labels).accuracy


accuracy, first_losses = {}, {}
figure, axes = plt.subplots(1, 2, sharey=True)
for ax, lr in zip(axes, (1e-3, 1e-2), strict=True):
    for name in ("adam", "adam_uncorrected"):
        runs = [train(name, lr, seed) for seed in range(seeds)]
        curve = np.mean([losses for losses, _ in runs], axis=0)
        accuracy[name, lr] = [100 * right for _, right in runs]
        first_losses[name, lr] = curve[:12].max()
        ax.loglog(np.arange(1, len(curve) + 1), curve, label=name)
    ax.set(title=f"lr {lr:g}", xlabel="update")
axes[0].set_ylabel("loss of the batch, before its update")
axes[1].legend()
figure.supxlabel(
    f"{data.name}, 784-{hidden}-10 sigmoid, batches of 128, mean of n = {seeds} seeds. The largest "
    f"loss of the first 12 updates\nat lr 0.01: {first_losses['adam', 1e-2]:.1f} with correction, "
    f"{first_losses['adam_uncorrected', 1e-2]:.1f} without."
)
plt.show()
for (name, lr), percent in accuracy.items():
    spread = f"{min(percent):.1f}에서 {max(percent):.1f}까지"
    print(f"lr {lr:g}  {name:16}  한 에포크 뒤 정확도 {np.mean(percent):5.1f} % ({spread})")

# %% [markdown]
# ## 무엇을 보았나

# %%
gap = {
    lr: np.mean(accuracy["adam", lr]) - np.mean(accuracy["adam_uncorrected", lr])
    for lr in (1e-3, 1e-2)
}
print(f"- 손으로 구한 가중치와 update가 준 가중치의 차이는 {hand_error:.0e}이다.")
print(f"- 포물선에서 Adam의 걸음은 학습률이 0.1일 때 아무리 길어도 {longest_step:.3f}이다.")
print(f"- 편향 보정이 없으면 걸음이 최대 {raw.max():.2f}배로 길어진다: t = {peak}일 때이다.")
print(f"- 한 에포크 동안 보정으로 얻는 정확도(%p): 학습률 0.001에서 {gap[1e-3]:+.1f},", end=" ")
print(f"0.01에서 {gap[1e-2]:+.1f} (시드는 각각 {seeds}개).")

# %% [markdown]
# ## 연습 문제
#
# **1.** 맨 처음 갱신에서 어떤 가중치의 기울기가 1000이다. 기본값을 쓰는 Adam은 그 가중치를 얼마나
# 움직이는가? (보폭을 답한다. 컴퓨터는 필요 없다.)

# %%
answer = None  # 수 하나

exercises.check_first_step(answer)

# %% [markdown]
# **2.** $\hat m$을 구하는 함수를 쓰라. 곧 주어진 기울기를 모두 거친 뒤의 평균 기울기에, 0에서
# 출발한 데 대한 편향 보정을 한 값이다.


# %%
def corrected_mean(gradients, beta1):
    """마지막 기울기까지 거친 뒤의 m_hat."""
    return None


exercises.check_corrected_mean(corrected_mean)
