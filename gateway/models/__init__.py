"""The rows: configuration, which operations edit, and the ledger, which only its writer changes."""

from gateway.models.alert import Alert, AlertCursor, AlertDelivery
from gateway.models.alert_channel import AlertChannel
from gateway.models.applied_file import AppliedFile
from gateway.models.batch import Batch, BatchFile, BatchFileChunk, BatchJob, BatchLine
from gateway.models.breaker import BreakerStatus, BreakerTransition
from gateway.models.budget import Budget
from gateway.models.budget_raise import BudgetRaise
from gateway.models.budget_window import BudgetReservation, BudgetWindow
from gateway.models.completion import Attempt, Completion, Conversation, Fallback
from gateway.models.configuration import ConfigurationChange, ConfigurationVersion
from gateway.models.drill import Drill
from gateway.models.feedback import Feedback
from gateway.models.health_probe import HealthProbe, HealthProbeTurn
from gateway.models.idempotency import IdempotencyRecord
from gateway.models.login_failure import LoginFailures
from gateway.models.organisation import Organisation
from gateway.models.price import Price
from gateway.models.provider import Provider
from gateway.models.role_grant import RoleGrant
from gateway.models.rollup import LatencyCell, UsageCell, UsageHourChanged, UsageProgress
from gateway.models.route import Route, Target
from gateway.models.simple_rules import SimpleRules
from gateway.models.stored_content import StoredContent
from gateway.models.task_sign import TaskSign
from gateway.models.team import ApiKey, Team
from gateway.models.workload import Workload

__all__ = [
    "Alert",
    "AlertChannel",
    "AlertCursor",
    "AlertDelivery",
    "ApiKey",
    "AppliedFile",
    "Attempt",
    "Batch",
    "BatchFile",
    "BatchFileChunk",
    "BatchJob",
    "BatchLine",
    "BreakerStatus",
    "BreakerTransition",
    "Budget",
    "BudgetRaise",
    "BudgetReservation",
    "BudgetWindow",
    "Completion",
    "ConfigurationChange",
    "ConfigurationVersion",
    "Conversation",
    "Drill",
    "Fallback",
    "Feedback",
    "HealthProbe",
    "HealthProbeTurn",
    "IdempotencyRecord",
    "LatencyCell",
    "LoginFailures",
    "Organisation",
    "Price",
    "Provider",
    "RoleGrant",
    "Route",
    "SimpleRules",
    "StoredContent",
    "Target",
    "TaskSign",
    "Team",
    "UsageCell",
    "UsageHourChanged",
    "UsageProgress",
    "Workload",
]
