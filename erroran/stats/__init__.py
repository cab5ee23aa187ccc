"""Arrays in, numbers out: is a fix of a confused class pair real? Knows no files, no Keras.

``labels`` is an integer array (N,), ``pred`` (S, N): S runs (seeds) by N images. Two arms, ``before``
(S_b, N) and ``after`` (S_a, N), are evaluated on the same images. A directed *cell* (a, b) holds the
images of class a read as b. ``errors`` are bool, runs by images. ``rng`` is a numpy Generator.

::

    verdict       judge(labels, before, after, *, pair, n_classes, endpoint="forward",
                        margin_per_10000=10.0, equivalence_per_10000=None, alpha=0.05, rng=None,
                        class_names=None, fdr=0.05) -> Verdict  (.word .sentence .to_dict())
    confusion     confusion_counts(labels, pred, n_classes) -> (S, C, C)
                  cell_errors(labels, pred, cell) -> bool (S, M)
                  pair_errors(labels, pred, cell) -> (S,)
                  per_class_metrics(labels, pred_run, n_classes) -> ClassMetrics
                  accuracy(labels, pred) -> (S,)
    consistency   rank_pairs(labels, pred, n_classes) -> list[PairSummary]
                  classify_images(labels, pred, n_classes, probs=None) -> ImageConsistency
                  partial_conjunction(p_values) -> p-values for k = 1..S
    significance  mcnemar(before_only, after_only) -> McNemarResult; mcnemar_midp -> float
                  stratified_test(before_errors, after_errors, *, confidence=0.95)
                  overdispersion(*arms, level=0.05)
                  run_permutation_test(before_counts, after_counts)
    comparison    compare_arms(name, before_errors, after_errors, n_images, ...) -> Comparison
                  choose_test(before_errors, after_errors, ...) -> ArmTest
    intervals     score_interval(before_errors, after_errors, n_images, *, confidence=0.95) -> Effect
                  bootstrap_interval(before_errors, after_errors, n_images, rng, ...) -> Effect
                  wilson_interval(errors, n_images, confidence=0.95) -> (low, high)
    noninferiority check_collateral(labels, before, after, *, pair, n_classes, ...) -> Collateral
    multiplicity  explore_cells(labels, before, after, n_classes, *, skip=(), fdr=0.05)
    dispersion    run_variation(labels, *arms, n_classes, skip=()) -> RunVariation (.shift_sd .shift_of)
    power         plan_power(errors, *, rng, seeds=..., reductions=..., n_images=None, shrink=1.0,
                  shift_sd=None, ...)
                  -> PowerTable (.power .detectable(0.8))
                  selection_shrink(labels, pred, n_classes, *, cells=None) -> factor in (0, 1]
                  seeds_needed(errors, *, reduction, power=0.8, rng, ...) -> int | None
"""
