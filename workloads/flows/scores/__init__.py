"""Anomaly scores of flows, all higher = more anomalous."""
