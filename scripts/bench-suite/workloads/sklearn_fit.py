"""scikit-learn: fits a forest, a logistic regression and k-means."""

import numpy as np
from sklearn.cluster import KMeans
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression

from work import work


def fit(x, y):
    models = [
        RandomForestClassifier(n_estimators=25, random_state=0, n_jobs=1),
        LogisticRegression(max_iter=200),
        KMeans(n_clusters=8, n_init=2, random_state=0),
    ]
    return [type(model.fit(x, y)).__name__ for model in models]


source = np.random.default_rng(7)
x = source.normal(size=(10_000, 20))
work(fit, x, (x[:, 0] + x[:, 1] ** 2 > 0.5).astype(int))
