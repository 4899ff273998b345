"""KubeRay: Ray clusters as objects of a Kubernetes namespace.

manifests, pods     from a submission to RayJob, RayCluster, RayService (pure)
status, problems    from what KubeRay and the kubelets say to what our users read (pure)
credentials, api    the Kubernetes API by the official client's configuration
informer            list once, then watch
heads               the Ray dashboards inside the namespace
dedicated, shared, services   the drivers
checks              `submarine cluster check`
"""
