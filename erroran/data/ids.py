"""Names of samples, made from their pixels, and choices that depend on nothing else."""

import hashlib
import struct
from collections import Counter

import numpy as np

ID_LENGTH = 16
"""Hex digits of an id before the number of a copy; 64 bits, so chance collisions do not happen."""


def sample_ids(images: np.ndarray, labels: np.ndarray | None = None) -> np.ndarray:
    """Name each image by its content, so that a name survives reordering.

    Args:
        images: ``uint8`` of shape (N, H, W, C).
        labels: Integers of shape (N,). They only number exact copies of one image, so that copies
            with different labels keep their numbers when the order changes.

    Returns:
        Strings of shape (N,), all different: 16 hex digits (BLAKE2b of size and pixels); further
        copies of an image end in ``~1``, ``~2`` ...
    """
    assert images.dtype == np.uint8, images.dtype
    pixels = np.ascontiguousarray(images)
    _, height, width, channels = pixels.shape
    # The size goes into `person`, which holds 16 bytes. Grey images have no salt: their ids are older than colour.
    size, salt = struct.pack("<QQ", height, width), b"" if channels == 1 else struct.pack("<Q", channels)
    step = height * width * channels
    buffer = pixels.reshape(-1).data
    hashes = [
        hashlib.blake2b(buffer[start : start + step], digest_size=ID_LENGTH // 2, person=size, salt=salt).hexdigest()
        for start in range(0, len(buffer), step)
    ]
    return _number_copies(np.array(hashes, dtype=f"U{ID_LENGTH}"), labels)


def strip_copy_numbers(ids: np.ndarray) -> np.ndarray:
    """Ids of shape (N,) without ``~1``, ``~2``: equal exactly where the images are equal."""
    return ids.astype(f"U{ID_LENGTH}")


def count_different(groups: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Different images of each class, ``int64`` of shape (C,), C being the largest label plus 1."""
    pairs = set(zip(groups.tolist(), labels.tolist(), strict=True))
    return np.bincount([label for _, label in pairs])


def groups_in_hash_order(groups: np.ndarray, *, purpose: str) -> list[list[int]]:
    """Put the groups of samples in an order that depends on their names alone, not on the samples' order or a seed.

    Args:
        groups: Strings of shape (N,): the name of each sample's group.
        purpose: What the order is for; different purposes give independent orders.

    Returns:
        The rows of each group, the groups sorted by a hash of purpose and name.
    """
    rows: dict[str, list[int]] = {}
    for row, name in enumerate(groups.tolist()):
        rows.setdefault(name, []).append(row)
    order = sorted(rows, key=lambda name: hashlib.blake2b(f"{purpose}:{name}".encode()).digest())
    return [rows[name] for name in order]


def choose_fraction(groups: np.ndarray, labels: np.ndarray, *, fraction: float, purpose: str) -> np.ndarray:
    """Choose a stratified part that depends on the content alone, not on order or a seed; groups stay together.

    The quota of each class is ``round(fraction * n)``, at least one, and at least one is left. Groups are taken in hash
    order as long as all their samples fit into the quotas. So the result has exactly the quotas where every group is a
    single sample, and otherwise at most so many fewer as a group is large. A class all of whose groups exceed its
    quota gives its smallest group instead, if another one is left.

    Args:
        groups: Strings of shape (N,): samples of one group are chosen all or none, such as copies of one image.
        labels: Integers of shape (N,).
        fraction: Chosen share of each class, in (0, 1).
        purpose: What the part is for; different purposes give independent choices.

    Returns:
        Booleans of shape (N,), true where chosen.
    """
    classes, sizes = np.unique(labels, return_counts=True)
    quotas = [min(max(round(fraction * size), 1), size - 1) for size in sizes.tolist()]
    return _choose(groups, labels, dict(zip(classes.tolist(), quotas, strict=True)), purpose)


def choose_count(groups: np.ndarray, labels: np.ndarray, *, count: int, purpose: str) -> np.ndarray:
    """As `choose_fraction`, with quotas that add up to a number.

    Each class gives its share of `count`, rounded down; the samples that are left over come from the classes with the
    largest remainders (method of Hamilton), the smaller label first on a tie.

    Args:
        groups: As in `choose_fraction`.
        labels: As there.
        count: How many, 0 to N.
        purpose: As there.
    """
    classes, sizes = np.unique(labels, return_counts=True)
    quotas, remainders = np.divmod(count * sizes, len(labels))
    quotas[np.argsort(-remainders, kind="stable")[: count - quotas.sum()]] += 1
    return _choose(groups, labels, dict(zip(classes.tolist(), quotas.tolist(), strict=True)), purpose)


def _choose(groups: np.ndarray, labels: np.ndarray, quotas: dict[int, int], purpose: str) -> np.ndarray:
    known = labels.tolist()
    free, left = dict(quotas), Counter(known)
    chosen = np.zeros(len(known), dtype=bool)
    passed: list[tuple[list[int], list[int]]] = []

    def take(rows: list[int], classes: list[int]) -> None:
        chosen[rows] = True
        for label in classes:
            free[label] -= 1
            left[label] -= 1

    for rows in groups_in_hash_order(groups, purpose=purpose):
        classes = [known[row] for row in rows]
        if all(free[label] >= classes.count(label) for label in classes):
            take(rows, classes)
        else:
            passed.append((rows, classes))
    for label, quota in quotas.items():
        if quota and free[label] == quota:  # all groups of the class are larger than its quota
            others_left = [g for g in passed if label in g[1] and all(left[one] > g[1].count(one) for one in g[1])]
            if others_left:
                take(*min(others_left, key=lambda group: len(group[0])))
    return chosen


def _number_copies(hashes: np.ndarray, labels: np.ndarray | None) -> np.ndarray:
    _, group, sizes = np.unique(hashes, return_inverse=True, return_counts=True)
    copied = np.flatnonzero(sizes[group] > 1)
    if copied.size == 0:
        return hashes
    if labels is not None:
        # A stable sort: copies that share image and label are interchangeable.
        copied = copied[np.argsort(labels[copied], kind="stable")]
    seen: Counter[str] = Counter()
    numbered = hashes.tolist()
    for index in copied.tolist():
        name = numbered[index]
        if seen[name]:
            numbered[index] = f"{name}~{seen[name]}"
        seen[name] += 1
    return np.array(numbered)
