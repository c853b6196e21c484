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
# # 아이디어는 어떻게 믿을 수 있는 옵티마이저가 되는가?
#
# 옵티마이저는 하이퍼파라미터와 수식이다. 여기서는 새 옵티마이저 하나를 검사하고, 틀린 옵티마이저가
# 어떻게 걸러지는지 보고, 새 옵티마이저로 신경망을 학습시키고, 명령줄에서 다른 것들과 비교한다.

# %%
import nnscratch as nn  # isort: skip  # 맨 먼저: 행렬 곱의 커널을 고른다

# %matplotlib inline
import os
import shlex
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import exercises
import matplotlib.pyplot as plt
import numpy as np
from my_opt import Cautious

from nnscratch.study import design, ledger
from nnscratch.study.analysis import analyse

FAST = "NNSCRATCH_FAST" in os.environ  # 테스트에서만 켠다: 몇 초 안에 끝나야 한다
plt.style.use("notebooks.mplstyle")
exercises.speak("한국어")

# %% [markdown]
# ## 파일에 적은 아이디어
#
# 모멘텀은 기울기가 방향을 바꾼 뒤에도 가중치를 가던 쪽으로 끌고 간다. 속도가 다시 내리막을 향할
# 때까지 가중치마다 따로 기다리게 하면 어떨까? Liang 등(2024, arXiv 2411.16085)이 내놓은
# 마스크이다. 이 노트북 옆에 있는 `my_opt.py`는 그것을 이렇게 적는다.

# %%
print(Path("my_opt.py").read_text(encoding="utf-8"))

# %% [markdown]
# - 필드는 하이퍼파라미터이고, 저마다 기본값과 범위와 뜻이 있다. 명령줄의 플래그와 범위 검사가 모두
#   여기에서 나온다.
# - `rule`은 가중치 하나에 대한 수식이며, NumPy의 원소별 함수로 적는다. `v`는 기억하는 값으로, 0에서
#   출발하고 딕셔너리 `state`에 들어 있다.
# - numba가 이 수식을 모든 가중치를 도는 반복문 하나로 컴파일한다. numba가 없으면 NumPy가 계산한다.

# %%
w, state = np.array([1.0, 1.0]), {}
Cautious(lr=0.1).update(w, np.array([0.5, -0.5]), state)
print("한 번 갱신한 뒤의 w:", w, " 속도:", state["v"])

# %% [markdown]
# ## 검사
#
# `nn.check_optimizer`는 옵티마이저를 작은 문제들에서 돌려 본다. `w`를 제자리에서 바꾸는가? 기울기를
# 건드리지 않는가? `state`에만 기억하는가? 저장한 상태에서 이어 갈 수 있는가? 손실을 줄이는가? 아무
# 말이 없으면 통과한 것이다.

# %%
nn.check_optimizer(Cautious)
print("통과")

# %% [markdown]
# 이런 검사가 쓸모 있을까? 이 파일의 첫 버전은 마스크를 거꾸로 적었다. 곧 $v\, dw < 0$일 때 가중치가
# 움직인다고 하였다. 보통의 수에서는 거의 같은 말이다.


# %%
@dataclass(frozen=True)
class FirstVersion(Cautious):
    @staticmethod
    def rule(w, dw, v, *, lr, momentum):
        v = momentum * v - lr * dw
        w = w + np.where(v * dw < 0, v, 0)
        return w, v


def examined(optimizer):
    """검사 결과를 출력하고, 틀린 곳의 수를 돌려준다."""
    try:
        nn.check_optimizer(optimizer)
    except nn.ContractError as error:
        for failure in error.failures:
            print("-", failure)
        return len(error.failures)
    print("통과")
    return 0


first_failures = examined(FirstVersion)

# %% [markdown]
# nan과의 비교는 언제나 거짓이다. 그래서 이미 잘못된 학습이 그저 멈춰 선 것처럼 보였을 것이다.

# %% [markdown]
# ## 틀린 옵티마이저
#
# 어느 강의 슬라이드는 AdaGrad를 다음과 같이 적는다. 어디가 틀렸는지 보이는가?


# %%
@dataclass(frozen=True)
class OfTheSlide(nn.OPTIMIZERS["adagrad"]):
    name = "adagrad"  # AdaGrad라고 하므로, 걸음도 같아야 한다

    @staticmethod
    def rule(w, dw, cache, *, lr, eps, eps_root, weight_decay):
        dw = dw + weight_decay * w
        cache = dw**2
        w = w - lr * dw / (np.sqrt(cache + eps_root) + eps)
        return w, cache


slide_failures = examined(OfTheSlide)

# %% [markdown]
# `cache = dw**2`는 지난 값을 잊는다. AdaGrad는 `cache + dw**2`로 누적한다. 누적하지 않으면 남는
# 것은 $dw / |dw|$, 곧 부호뿐이다. 그런데도 프로그램은 돌아가고 학습도 되므로 아무도 알아채지
# 못한다.

# %%
data = nn.load_dataset(limit=1000 if FAST else 10_000)
hidden, epochs, seeds = (50, 2, 1) if FAST else (100, 3, 3)
print(f"{data.name}: 학습 이미지 {len(data.train):,}장, 검증 이미지 {len(data.val):,}장")


def train(optimizer, seed=0):
    """시작할 때와 각 에포크 뒤의 검증 정확도(%)."""
    model = nn.MLP([784, hidden, 10], seed=seed)
    before = model.evaluate(data.val.x, data.val.labels).accuracy
    loader = nn.mini_batch(data.train, 64, seed=seed)
    records = nn.fit(model, optimizer, loader, epochs, val=data.val)
    return [100 * before, *(100 * record.val_accuracy for record in records)]


AdaGrad = nn.OPTIMIZERS["adagrad"]
figure, ax = plt.subplots(figsize=(7, 3.6))
last = {}
for label, optimizer in (("adagrad", AdaGrad(lr=0.01)), ("of the slide", OfTheSlide(lr=0.01))):
    curve = np.mean([train(optimizer, seed) for seed in range(seeds)], axis=0)
    last[label] = curve[-1]
    ax.plot(curve, "o-", label=label)
ax.set(xlabel="epochs", ylabel="validation accuracy (%)", xticks=range(epochs + 1))
ax.legend(loc="lower right")
figure.supxlabel(
    f"{data.name}, 784-{hidden}-10 sigmoid, lr 0.01 for both, mean of n = {seeds} seeds. "
    f"Both learn: {last['adagrad']:.1f} % and {last['of the slide']:.1f} %."
)
plt.show()

# %% [markdown]
# ## 학습
#
# 이제 새 옵티마이저와 모멘텀을 여러 학습률로 나란히 학습시킨다. 학습률 하나로는 아무것도 말할 수
# 없다. 판단은 검증 이미지로 하고, 테스트 이미지는 읽지 않는다.

# %%
rates = [0.1, 1.0] if FAST else [0.01, 0.032, 0.1, 0.32, 1.0]
figure, ax = plt.subplots(figsize=(7, 3.6))
best = {}
for cls in (Cautious, nn.OPTIMIZERS["momentum"]):
    ends = np.array([[train(cls(lr=lr), s)[-1] for s in range(seeds)] for lr in rates])
    means = ends.mean(axis=1)
    best[cls.name] = rates[means.argmax()], means.max()
    (line,) = ax.semilogx(rates, means, "o-", label=cls.name)
    ax.fill_between(rates, ends.min(axis=1), ends.max(axis=1), color=line.get_color(), alpha=0.2)
ax.set(xlabel="learning rate", ylabel="validation accuracy (%)")
ax.legend()
apart = best["cautious"][1] - best["momentum"][1]
figure.supxlabel(
    f"{data.name}, after {epochs} epochs; mean and range of n = {seeds} seeds. At their best rates "
    f"the two are {apart:+.2f} points apart."
)
plt.show()

# %% [markdown]
# ## 비교
#
# 이런 차이가 운이 아니라고 말할 수 있을까? 비교 명령은 모든 옵티마이저를 똑같이 조정하고, 가장 좋은
# 학습률을 새 시드들로 다시 학습시키고, 시드끼리 짝을 지어 비교하고, 결과를 얼마나 믿을 수 있는지
# 말해 준다. 파일에 있는 옵티마이저는 `FILE.py:CLASS`처럼 적는다. `smoke`는 진짜 비교를 작게 줄인
# 단계이다. 제대로 된 답은 `--tier lr`로 얻는다. 얼마나 걸릴지는 명령이 미리 알려 준다.

# %%
folder = tempfile.TemporaryDirectory()
others = "momentum" if FAST else "momentum,adam"


def command(text):
    """파이썬 모듈을 명령줄에서 치듯이 실행하고, 출력을 보여 준다."""
    print("$ python", text)
    words = [sys.executable, *shlex.split(text)]
    print(subprocess.run(words, check=True, capture_output=True, text=True).stdout)


command("-m nnscratch.check my_opt.py:Cautious")
command(
    f"-m nnscratch.compare --opts my_opt.py:Cautious,{others} --baseline momentum --tier smoke "
    f"--dataset digits --out {folder.name}/study"
)

# %% [markdown]
# 비교 결과가 든 폴더는 파이썬에서도 읽을 수 있다.

# %%
study = Path(folder.name, "study")
analysis = analyse(design.read(study), ledger.read(study / "trials.csv"))
(mine,) = (s for s in analysis.standings if s.optimizer == "cautious")
difference = mine.difference
print(f"가장 좋은 학습률 {mine.lr:g}, 테스트 정확도 {100 * mine.test.mean:.2f} %")
print(f"모멘텀과의 차이: {difference.mean:+.2f}%p, ", end="")
print(f"95 % 구간 {difference.low:+.2f}에서 {difference.high:+.2f}까지: {difference.verdict}")
folder.cleanup()

# %% [markdown]
# ## 무엇을 보았나

# %%
print(f"- 검사가 찾아낸 잘못: 첫 버전에서 {first_failures}개,", end=" ")
print(f"슬라이드의 AdaGrad에서 {slide_failures}개.")
print(f"- 그 AdaGrad도 학습은 된다: 검증 이미지의 {last['of the slide']:.1f} %를 맞힌다.")
print(f"  올바른 AdaGrad는 {last['adagrad']:.1f} %이다. 손실이 준다고 옳은 것은 아니다.")
print(f"- 가장 좋은 학습률에서 새 옵티마이저와 모멘텀의 차이는 {apart:+.2f}%p이다 ({data.name}).")
print(f"  digits에서 한 작은 비교의 판정은 {difference.verdict}이다 (시드 {len(mine.final)}개).")

# %% [markdown]
# ## 연습 문제
#
# **1.** 슬라이드의 AdaGrad를 바로잡으라. 채점 셀이 그것을 AdaGrad라는 이름으로 검사한다.


# %%
def adagrad_rule(w, dw, cache, *, lr, eps, eps_root, weight_decay):
    return None


exercises.check_adagrad(adagrad_rule)

# %% [markdown]
# **2.** PyTorch의 모멘텀을 쓰라. 속도는 감쇠하는 기울기의 합 $b \leftarrow \mu b + dw$이고,
# 학습률은 밖에 있다: $w \leftarrow w - \eta\, b$. 학습률이 일정하면 강의의 모멘텀과 같고, 학습률이
# 바뀌면 달라진다.


# %%
@dataclass(frozen=True)
class TorchMomentum(nn.Elementwise):
    lr: float = nn.hyper(0.1, "(0, inf)", "step size")
    momentum: float = nn.hyper(0.9, "[0, 1)", "decay of the sum b")

    @staticmethod
    def rule(w, dw, b, *, lr, momentum):
        return None


exercises.check_torch_momentum(TorchMomentum)
