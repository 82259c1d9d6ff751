"""What a report's plots and charts show, in words; no plot is drawn here."""

MOST_PLOTTED = 24
"""Columns in a plot of scores: more colours and panels tell nobody anything."""
CAPTIONS = {
    "roc.png": "ROC curves of the whole detector",
    "scores.png": "Scores of normal and anomalous test images",
}
CHARTS = {
    "parallel.svg": "Every trial as a line through the values of its keys, its {criterion} and its test AUROC: the "
    "best tenth by the {criterion} in blue, the winner in orange, the others in grey",
    "effects.svg": "Mean {criterion} of the trials with each value of a key, whatever their other keys, with its 95 % "
    "interval; all at {rung:g} % of the schedule, which every trial that has not failed has reached",
    "cost.svg": "Seconds of training and scoring of each trial, and its mean test AUROC at its last rung: the winner "
    "in orange, trials that were stopped early as triangles, those that failed or were interrupted as crosses",
    "curves.svg": "The {criterion} and the mean test AUROC of each trial from rung to rung: the winner in orange; a "
    "line that ends early was stopped or interrupted, or has failed",
}
"""File -> its caption; criterion: of the sweep; rung: in % of the schedule."""
