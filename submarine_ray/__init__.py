"""Machine learning on Ray: experiments, tracking, models and serving."""
