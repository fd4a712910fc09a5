"""Envoy's bootstrap: everything static, so that the endpoint assignment is the one thing that ever changes.

Listener, routes, the cluster, retries and breakers cannot be wiped by an empty controller, and a gateway restarts from its
files while the controller is dead. Only speech is routed: control and metrics paths of a replica stay private to its host.
Each value that differs from Envoy's default carries the measured trouble that it prevents (docs/adr/0003).
"""

from dataclasses import dataclass
from typing import Any

from contracts.vocabulary import Region

Json = dict[str, Any]

CLUSTER = "tts"
ASSIGNMENT_FILE = f"{CLUSTER}.json"
"""Name of the endpoint assignment inside the watched directory."""
METADATA = "trimtab"
"""Namespace of our endpoint metadata; the access log reads the replica's name from it."""
RETRIES_MAX = 3
"""A frozen replica, a killed one and a draining one may meet the same request; the fourth host is nearly always well."""
RETRY_CONCURRENCY_MIN = 64
"""Retries that may run at once in a quiet gateway: the whole queue of a killed replica comes back in one moment."""
CONNECTIONS_MAX = 10_000
"""Downstream: far above what speech needs, far below what the gateway's memory allows."""
LATENCY_BUCKETS_MS = (10, 25, 50, 100, 200, 350, 500, 750, 1_000, 1_500, 2_500, 5_000, 10_000, 30_000)
_TYPES = "type.googleapis.com/envoy"
_HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"


@dataclass(frozen=True, slots=True)
class GatewaySettings:
    """What differs between two gateways."""

    region: Region
    address: str
    port: int
    admin_address: str
    """Keep it on loopback: the admin interface can stop the gateway."""
    admin_port: int
    eds_dir: str
    """Watched directory; a tmpfs, since a rename on a busy disk takes up to a second."""
    access_log: str = "/dev/stdout"
    requests_max: int = 256
    """Requests in flight before the gateway sheds: twice what the replicas admit, or a lost region ends all goodput."""


def render_bootstrap(settings: GatewaySettings) -> Json:
    """The whole configuration of one gateway, as Envoy's JSON."""
    return {
        "node": {
            "id": f"gateway-{settings.region}",
            "cluster": "trimtab",
            "locality": {"region": settings.region, "zone": settings.region},  # makes Envoy count per target region
        },
        "admin": {"address": _socket(settings.admin_address, settings.admin_port)},
        "static_resources": {"listeners": [_listener(settings)], "clusters": [_cluster(settings)]},
        "stats_config": _stats(),
        "overload_manager": {
            "resource_monitors": [
                {
                    "name": "envoy.resource_monitors.global_downstream_max_connections",
                    "typed_config": {
                        "@type": f"{_TYPES}.extensions.resource_monitors.downstream_connections.v3"
                        ".DownstreamConnectionsConfig",
                        "max_active_downstream_connections": CONNECTIONS_MAX,
                    },
                }
            ]
        },
    }


def _listener(settings: GatewaySettings) -> Json:
    manager = {
        "@type": f"{_TYPES}.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "gateway",
        "route_config": {"name": "speech", "virtual_hosts": [_virtual_host()]},
        "http_filters": [
            {
                "name": "envoy.filters.http.router",
                "typed_config": {"@type": f"{_TYPES}.extensions.filters.http.router.v3.Router"},
            }
        ],
        "access_log": [_access_log(settings.access_log)],
        "upgrade_configs": [{"upgrade_type": "websocket"}],
        "always_set_request_id_in_response": True,  # a caller can name the request that went wrong
        "normalize_path": True,  # `/tts/../v1/control` is not a way around the routes
        "use_remote_address": True,
        "request_headers_timeout": "10s",
        "common_http_protocol_options": {"idle_timeout": "300s"},
        "server_name": "trimtab",
    }
    return {
        "name": "speech",
        "address": _socket(settings.address, settings.port),
        "filter_chains": [
            {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
        ],
    }


def _virtual_host() -> Json:
    public: tuple[Json, ...] = ({"path": "/tts"}, {"prefix": "/v1/audio/"}, {"path": "/v1/models"})
    return {
        "name": "speech",
        "domains": ["*"],
        "routes": [
            *({"match": match, "route": _route()} for match in public),
            {"match": {"prefix": "/"}, "direct_response": {"status": 404}},
        ],
    }


def _route() -> Json:
    return {
        "cluster": CLUSTER,
        "timeout": "0s",  # the default of 15 s cuts a long stream and still says 200
        "idle_timeout": "60s",  # above the longest silence: a whole response has none of its bytes until it is finished
        "retry_policy": {
            # `reset` repeats requests that may have run. Synthesis is idempotent, and this is what saves the ones that sat
            # in a frozen replica when its agent killed it: no per-try timeout is as fast, and none is needed.
            "retry_on": "connect-failure,refused-stream,reset-before-request,reset,retriable-status-codes",
            "retriable_status_codes": [503],  # overloaded or draining: refused before any work
            "num_retries": RETRIES_MAX,
            "per_try_idle_timeout": "20s",  # a host that vanished sends no reset; longer than a replica's total budget
            "retry_back_off": {"base_interval": "0.01s", "max_interval": "0.1s"},
            "retry_host_predicate": [
                {
                    "name": "envoy.retry_host_predicates.previous_hosts",
                    "typed_config": {
                        "@type": f"{_TYPES}.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"
                    },
                }
            ],
            "host_selection_retry_max_attempts": 5,
        },
    }


def _cluster(settings: GatewaySettings) -> Json:
    return {
        "name": CLUSTER,
        "type": "EDS",
        "connect_timeout": "0.25s",
        "lb_policy": "LEAST_REQUEST",
        "eds_cluster_config": {
            "eds_config": {
                "resource_api_version": "V3",
                "initial_fetch_timeout": "0s",  # on expiry of the default 15 s an empty cluster would go live
                "path_config_source": {
                    "path": f"{settings.eds_dir}/{ASSIGNMENT_FILE}",
                    "watched_directory": {"path": settings.eds_dir},
                },
            }
        },
        "ignore_health_on_host_removal": True,  # else a removed replica gets traffic until its checks fail
        "common_lb_config": {
            "locality_weighted_lb_config": {},
            "healthy_panic_threshold": {"value": 0},  # panic sends to dead hosts: 75 % errors when a region died
            "update_merge_window": "0s",  # the default 1 s delays the second ejection: measured 96 of 300 lost with a region
            "ignore_new_hosts_until_first_hc": True,  # else a new replica dents its region's share for a second
        },
        "health_checks": [_health_check()],
        "outlier_detection": _outlier_detection(),
        "circuit_breakers": {
            "thresholds": [
                {
                    "priority": "DEFAULT",
                    "max_connections": 1_024,
                    "max_pending_requests": settings.requests_max // 2,
                    "max_requests": settings.requests_max,
                    "track_remaining": True,
                    "retry_budget": {
                        "budget_percent": {"value": 25},
                        "min_retry_concurrency": RETRY_CONCURRENCY_MIN,
                    },
                }
            ]
        },
        "track_cluster_stats": {"per_endpoint_stats": True},
        "typed_extension_protocol_options": {_HTTP_OPTIONS: _http_options()},
    }


def _health_check() -> Json:
    return {
        "interval": "0.5s",
        "unhealthy_interval": "0.5s",
        "no_traffic_interval": "0.5s",  # defaults to 60 s: an idle gateway would not notice anything
        "timeout": "1s",  # a busy replica shares its cores with synthesis and may answer late
        "unhealthy_threshold": 2,  # a 503 counts at once, whatever this says
        "healthy_threshold": 1,
        "http_health_check": {"path": "/readyz"},
    }


def _outlier_detection() -> Json:
    return {
        "interval": "1s",
        "base_ejection_time": "5s",
        "max_ejection_time": "30s",
        "max_ejection_percent": 50,  # the default of 10 never ejects anything in a fleet under ten
        "successful_active_health_check_uneject_host": False,  # else a replica that fails requests but not checks returns
        "split_external_local_origin_errors": True,
        "consecutive_local_origin_failure": 2,
        "consecutive_gateway_failure": 3,
        "enforcing_consecutive_gateway_failure": 100,
        "consecutive_5xx": 5,
        "failure_percentage_threshold": 20,
        "failure_percentage_minimum_hosts": 2,
        "failure_percentage_request_volume": 20,
        "enforcing_failure_percentage": 100,  # the one detector that sees 30 % of errors in a small fleet
        "enforcing_success_rate": 0,  # standard deviations of four hosts mean nothing
    }


def _http_options() -> Json:
    """What counts as a failure for ejection: 5xx, but not a refusal with Retry-After.

    An overloaded replica refuses on purpose. Ejecting it would push its load onto the next one, until half are out.
    """
    failed = {"http_response_headers_match": {"headers": [_header(":status", {"safe_regex": {"regex": "5.."}})]}}
    refused = {"http_response_headers_match": {"headers": [{"name": "retry-after", "present_match": True}]}}
    return {
        "@type": f"type.googleapis.com/{_HTTP_OPTIONS}",
        "explicit_http_config": {"http_protocol_options": {}},
        "outlier_detection": {"error_matcher": {"and_match": {"rules": [failed, {"not_match": refused}]}}},
    }


def _header(name: str, string_match: Json) -> Json:
    return {"name": name, "string_match": string_match}


def _access_log(path: str) -> Json:
    fields = {
        "at": "%START_TIME%",
        "request_id": "%REQ(X-REQUEST-ID)%",
        "method": "%REQ(:METHOD)%",
        "path": "%REQ(:PATH)%",
        "status": "%RESPONSE_CODE%",
        "flags": "%RESPONSE_FLAGS%",
        "details": "%RESPONSE_CODE_DETAILS%",
        "replica": f"%UPSTREAM_METADATA({METADATA}:replica)%",
        "region": f"%UPSTREAM_METADATA({METADATA}:region)%",
        "attempts": "%UPSTREAM_REQUEST_ATTEMPT_COUNT%",
        "first_byte_ms": "%RESPONSE_DURATION%",
        "duration_ms": "%DURATION%",
        "bytes": "%BYTES_SENT%",
    }
    return {
        "name": "envoy.access_loggers.file",
        "typed_config": {
            "@type": f"{_TYPES}.extensions.access_loggers.file.v3.FileAccessLog",
            "path": path,
            "log_format": {"json_format": fields},
        },
    }


def _stats() -> Json:
    return {
        "stats_tags": [  # without these the regions are part of the metric's name
            {"tag_name": "from_zone", "regex": r"^cluster\..+?\.zone\.(([^.]+)\.)"},
            {"tag_name": "to_zone", "regex": r"^cluster\..+?\.zone\.[^.]+\.(([^.]+)\.)"},
        ],
        "histogram_bucket_settings": [
            {"match": {"suffix": "upstream_rq_time"}, "buckets": list(LATENCY_BUCKETS_MS)},
            {"match": {"suffix": "downstream_rq_time"}, "buckets": list(LATENCY_BUCKETS_MS)},
        ],
    }


def _socket(address: str, port: int) -> Json:
    return {"socket_address": {"address": address, "port_value": port}}
