"""Start-up: imports pandas and scikit-learn, and with them numpy and scipy."""

from work import work


def load():
    import pandas
    import sklearn.ensemble
    import sklearn.linear_model

    return [pandas.__name__, sklearn.ensemble.__name__, sklearn.linear_model.__name__]


work(load)
