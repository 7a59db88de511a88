"""Values of the chart that the tests render: one set for each way to use it."""

from __future__ import annotations

from typing import Any, Final

from .rendering import POSTGRES

_TLS: Final = {
    "web": {"configSecret": "afterrun-web", "tls": True, "shutdownDelaySeconds": 3},
    "serviceMonitor": {
        "enabled": True,
        "labels": {"release": "kube-prometheus-stack"},
        "interval": "30s",
        "tokenSecret": "afterrun-token",
        "tlsConfig": {"ca": {"secret": {"name": "afterrun-web", "key": "ca.crt"}}},
    },
}

VALUES: Final[dict[str, dict[str, Any]]] = {
    "the defaults": {},
    "PostgreSQL": POSTGRES,
    "PostgreSQL of an operator": {
        "storage": {"type": "postgres", "postgres": {"urlSecret": "cluster-app"}},
    },
    "a configuration": {
        "config": {
            "content": "jobs:\n  backup: {schedule: '0 2 * * *', rules: [rows > 1]}\n",
            "autoReload": False,
        },
        "web": {"externalUrl": "https://afterrun.example"},
    },
    "a ConfigMap of several files": {
        "config": {"existingConfigMap": "jobs", "existingConfigMapKey": ""},
    },
    "git": {
        "config": {
            "git": {
                "url": "https://git.example/jobs.git",
                "username": "deploy",
                "tokenSecret": "git-token",
            }
        },
    },
    "git with PostgreSQL": {
        **POSTGRES,
        "replicas": 3,
        "config": {"git": {"url": "https://git.example/jobs.git", "ref": "main"}},
    },
    "TLS, and a ServiceMonitor": _TLS,
    "TLS with PostgreSQL": {**POSTGRES, **_TLS},
    "a prefix": {
        "web": {"routePrefix": "/tools/afterrun"},
        "ingress": {"enabled": True, "hosts": ["tools.example"]},
        "httpRoute": {"enabled": True, "parentRefs": [{"name": "public"}]},
        "serviceMonitor": {"enabled": True},
    },
    "a claim of one's own": {"persistence": {"existingClaim": "data-afterrun-0"}},
    "no volume": {"persistence": {"enabled": False}},
    "another volume": {
        "persistence": {
            "size": "10Gi",
            "storageClass": "fast",
            "accessMode": "ReadWriteOncePod",
            "annotations": {"backup": "yes"},
            "whenDeleted": "Delete",
        }
    },
    "an Ingress": {
        "ingress": {
            "enabled": True,
            "className": "nginx",
            "annotations": {"cert-manager.io/cluster-issuer": "letsencrypt"},
            "hosts": ["afterrun.example", "*.jobs.example"],
            "path": "/afterrun",
            "tls": [{"secretName": "afterrun-tls", "hosts": ["afterrun.example"]}],
        },
        "web": {"trustedProxies": ["10.0.0.0/8", "fd00::/8"]},
    },
    "an HTTPRoute": {
        "httpRoute": {
            "enabled": True,
            "parentRefs": [{"name": "public", "namespace": "gateways"}],
            "hostnames": ["afterrun.example"],
        }
    },
    "a closed network": {
        **POSTGRES,
        "networkPolicy": {
            "from": [{"namespaceSelector": {"matchLabels": {"jobs": "yes"}}}],
            "egress": {
                "dnsPorts": [53, 5353],
                "alertmanagerPorts": [],
                "extra": [{"to": [{"ipBlock": {"cidr": "192.0.2.1/32"}}]}],
            },
        },
    },
    "no network policy": {"networkPolicy": {"enabled": False}},
    "no own account": {
        "serviceAccount": {"create": False, "name": "batch"},
        "podDisruptionBudget": {"enabled": False},
        **POSTGRES,
    },
    "OpenShift": {
        "podSecurityContext": {"runAsUser": None, "runAsGroup": None, "fsGroup": None},
    },
    "everything else": {
        **POSTGRES,
        "image": {
            "repository": "registry.example:5000/monitoring/afterrun",
            "digest": "sha256:" + "0" * 64,
            "pullPolicy": "Always",
        },
        "imagePullSecrets": [{"name": "registry"}],
        "replicas": 4,
        "log": {"level": "debug", "format": "json"},
        "extraArgs": ["--web.max-connections=100", "--no-web.fast-path"],
        "extraEnv": [
            {"name": "TZ", "value": "UTC"},
            {"name": "X", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
        ],
        "extraVolumes": [{"name": "slack", "secret": {"secretName": "slack"}}],
        "extraVolumeMounts": [{"name": "slack", "mountPath": "/run/secrets/slack"}],
        "service": {
            "type": "LoadBalancer",
            "port": 80,
            "annotations": {"example.com/internal": "true"},
            "labels": {"team": "data"},
        },
        "serviceMonitor": {"enabled": True, "labels": {"team": "monitoring"}},
        "serviceAccount": {"annotations": {"example.com/role": "arn:aws:iam::1"}},
        "strategy": {"type": "Recreate"},
        "terminationGracePeriodSeconds": 60,
        "web": {"shutdownTimeoutSeconds": 20},
        "livenessProbe": {
            "exec": {
                "command": ["python", "-m", "afterrun_exporter.client.healthcheck"]
            },
        },
        "readinessProbe": {"tcpSocket": {"port": "http"}},
        "startupProbe": {"tcpSocket": {"port": "http"}},
        "resources": {"limits": {"memory": "2Gi"}},
        "commonLabels": {"team": "data", "cost": "1.0", "x": "yes"},
        "podLabels": {"sidecar.istio.io/inject": "false"},
        "podAnnotations": {"example.com/restarted": "2026-11-30"},
        "nodeSelector": {"kubernetes.io/arch": "amd64"},
        "tolerations": [{"key": "batch", "operator": "Exists"}],
        "affinity": {"podAntiAffinity": {}},
        "topologySpreadConstraints": [
            {
                "maxSkew": 1,
                "topologyKey": "topology.kubernetes.io/zone",
                "whenUnsatisfiable": "DoNotSchedule",
            }
        ],
        "priorityClassName": "monitoring",
        "nameOverride": "jobs",
        "fullnameOverride": "jobs-exporter",
        "podDisruptionBudget": {"maxUnavailable": "25%"},
    },
}
