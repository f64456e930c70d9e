"""The ledger's SQL, keyed so that a group applied again (a COMMIT whose answer was lost) changes nothing.

Columns and their order are those of `gateway.ledger.rows`; tables are `gateway.models`'.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from gateway.ledger.dialect import Dialect

_INTENT_INSERT = """
INSERT INTO llmops_completion (
  id, created_at, lease_until, surface, operation, stream, requested_model, route_id, route_name, api_key_id,
  api_key_name, team_id, team_name, conversation, reserved_usd, decision, holder, status, error_code, error_message,
  finish_reason, provider, model, attempt_count, fell_back, cache, input_tokens, cached_input_tokens,
  cache_write_tokens, output_tokens, reasoning_tokens, cost_usd, saved_usd, billing, dropped_params)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?,
  'pending', '', '', '', '', '', 0, FALSE, 'bypass', 0, 0, 0, 0, 0, 0, 0, 'none', '[]')
ON CONFLICT (id) DO NOTHING RETURNING id
"""

_REFUSAL_INSERT = """
INSERT INTO llmops_completion (
  id, created_at, lease_until, finished_at, surface, operation, stream, requested_model, route_id, route_name,
  api_key_id, api_key_name, team_id, team_name, conversation, status, http_status, error_code, error_message, decision,
  reserved_usd, finish_reason, provider, model, attempt_count, fell_back, cache, input_tokens, cached_input_tokens,
  cache_write_tokens, output_tokens, reasoning_tokens, cost_usd, saved_usd, billing, latency_ms, dropped_params, holder)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?,
  0, '', '', '', 0, FALSE, 'bypass', 0, 0, 0, 0, 0, 0, 0, 'none', 0, '[]', '')
ON CONFLICT (id) DO NOTHING
"""

_INTENT_DELETE = "DELETE FROM llmops_completion WHERE id = ? AND status = 'pending'"

_COMPLETION_SETTLE = """
UPDATE llmops_completion SET
  finished_at = ?, status = ?, http_status = ?, error_code = ?, error_message = ?, finish_reason = ?, provider = ?,
  model = ?, attempt_count = ?, fell_back = ?, cache = ?, input_tokens = ?, cached_input_tokens = ?,
  cache_write_tokens = ?, output_tokens = ?, reasoning_tokens = ?, cost_usd = ?, saved_usd = ?, billing = ?,
  latency_ms = ?, first_content_ms = ?, dropped_params = ?, budget_checks = ?, drill_id = ?
WHERE id = ? AND status = ? RETURNING team_id, conversation, created_at
"""

_COMPLETION_READ = """
SELECT status, cost_usd, team_id, conversation FROM llmops_completion WHERE id = ? {for_update}
"""

_RESERVED_READ = "SELECT reserved_usd FROM llmops_completion WHERE id = ? AND status = 'pending' {for_update}"

_RESERVED_SET = "UPDATE llmops_completion SET reserved_usd = ? WHERE id = ?"

_LEASE_END = """
UPDATE llmops_completion SET lease_until = ? WHERE status = 'pending' AND holder = ? AND lease_until > ?
"""

_ORPHANS_READ = """
SELECT id, reserved_usd FROM llmops_completion
WHERE status = 'pending' AND lease_until < ? ORDER BY lease_until LIMIT ?
"""

_ATTEMPT_INSERT = """
INSERT INTO llmops_attempt (
  completion_id, number, provider, model, target_index, retry, outcome, reason, failure, status, message,
  retry_after_seconds, probe, upstream_id, started_at, latency_ms, first_content_ms, input_tokens,
  cached_input_tokens, cache_write_tokens, cache_write_1h_tokens, output_tokens, reasoning_tokens, web_searches,
  cost_usd, billing, price_id, drill_id, fault)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""

_FALLBACK_INSERT = """
INSERT INTO llmops_fallback (
  completion_id, number, created_at, from_target, to_target, reason, after_ms, extra_cost_usd)
VALUES (?, ?, ?, ?, ?, ?, ?, ?)
"""

_RESERVATION_INSERT = """
INSERT INTO llmops_budget_reservation (completion_id, budget_id, subject, window_epoch, amount_usd)
VALUES (?, ?, ?, ?, ?)
"""

_RESERVATION_TAKE = """
DELETE FROM llmops_budget_reservation WHERE completion_id = ? RETURNING budget_id, subject, window_epoch, amount_usd
"""

_RESERVATION_READ = """
SELECT budget_id, subject, window_epoch, amount_usd FROM llmops_budget_reservation WHERE completion_id = ?
"""

_RESERVATION_ADD = """
UPDATE llmops_budget_reservation SET amount_usd = amount_usd + ?
WHERE completion_id = ? AND budget_id = ? AND subject = ? AND window_epoch = ?
"""

_WINDOW_ADD = """
INSERT INTO llmops_budget_window (budget_id, subject, window_epoch, spent_usd, reserved_usd) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (budget_id, subject, window_epoch) DO UPDATE SET
  spent_usd = llmops_budget_window.spent_usd + excluded.spent_usd,
  reserved_usd = llmops_budget_window.reserved_usd + excluded.reserved_usd
RETURNING spent_usd, reserved_usd
"""

_WINDOW_READ = """
SELECT spent_usd, reserved_usd FROM llmops_budget_window WHERE budget_id = ? AND subject = ? AND window_epoch = ?
"""

_CONVERSATION_ADD = """
INSERT INTO llmops_conversation (
  team_id, external_id, completions, input_tokens, output_tokens, cost_usd, first_seen_at, last_seen_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (team_id, external_id) DO UPDATE SET
  completions = llmops_conversation.completions + excluded.completions,
  input_tokens = llmops_conversation.input_tokens + excluded.input_tokens,
  output_tokens = llmops_conversation.output_tokens + excluded.output_tokens,
  cost_usd = llmops_conversation.cost_usd + excluded.cost_usd,
  first_seen_at = {least}(llmops_conversation.first_seen_at, excluded.first_seen_at),
  last_seen_at = {greatest}(llmops_conversation.last_seen_at, excluded.last_seen_at)
RETURNING cost_usd
"""

_CONVERSATION_READ = "SELECT cost_usd FROM llmops_conversation WHERE team_id = ? AND external_id = ?"

_HOUR_MARK = """
INSERT INTO llmops_usage_hour_changed (starts_at, marks) VALUES (?, 1)
ON CONFLICT (starts_at) DO UPDATE SET marks = llmops_usage_hour_changed.marks + 1
"""

# News that is older than the state shown is out of date: another process knew more.
_BREAKER_STATUS_PUT = """
INSERT INTO llmops_breaker_status (
  provider, state, since, consecutive_failures, failure_rate, opened_at, next_probe_at, last_error)
VALUES (?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (provider) DO UPDATE SET
  state = excluded.state,
  since = CASE WHEN llmops_breaker_status.state = excluded.state THEN llmops_breaker_status.since
               ELSE excluded.since END,
  consecutive_failures = excluded.consecutive_failures,
  failure_rate = excluded.failure_rate,
  opened_at = excluded.opened_at,
  next_probe_at = excluded.next_probe_at,
  last_error = excluded.last_error
WHERE excluded.since >= llmops_breaker_status.since
"""

_BREAKER_TRANSITION_INSERT = """
INSERT INTO llmops_breaker_transition (
  provider, at, from_state, to_state, cause, consecutive_failures, last_error, request_id, drill_id)
SELECT ?, ?, ?, ?, ?, ?, ?, ?, CAST(? AS BIGINT)
WHERE NOT EXISTS (
  SELECT 1 FROM llmops_breaker_transition
  WHERE provider = ? AND at = ? AND from_state = ? AND to_state = ? AND COALESCE(drill_id, 0) = ?)
"""


@dataclass(frozen=True, slots=True)
class Statements:
    intent_insert: str
    refusal_insert: str
    intent_delete: str
    completion_settle: str
    completion_read: str
    reserved_read: str
    reserved_set: str
    lease_end: str
    orphans_read: str
    attempt_insert: str
    fallback_insert: str
    reservation_insert: str
    reservation_take: str
    reservation_read: str
    reservation_add: str
    window_add: str
    window_read: str
    conversation_add: str
    conversation_read: str
    hour_mark: str
    breaker_status_put: str
    breaker_transition_insert: str


@cache
def statements_for(dialect: Dialect) -> Statements:
    return Statements(
        intent_insert=dialect.render(_INTENT_INSERT),
        refusal_insert=dialect.render(_REFUSAL_INSERT),
        intent_delete=dialect.render(_INTENT_DELETE),
        completion_settle=dialect.render(_COMPLETION_SETTLE),
        completion_read=dialect.render(_COMPLETION_READ),
        reserved_read=dialect.render(_RESERVED_READ),
        reserved_set=dialect.render(_RESERVED_SET),
        lease_end=dialect.render(_LEASE_END),
        orphans_read=dialect.render(_ORPHANS_READ),
        attempt_insert=dialect.render(_ATTEMPT_INSERT),
        fallback_insert=dialect.render(_FALLBACK_INSERT),
        reservation_insert=dialect.render(_RESERVATION_INSERT),
        reservation_take=dialect.render(_RESERVATION_TAKE),
        reservation_read=dialect.render(_RESERVATION_READ),
        reservation_add=dialect.render(_RESERVATION_ADD),
        window_add=dialect.render(_WINDOW_ADD),
        window_read=dialect.render(_WINDOW_READ),
        conversation_add=dialect.render(_CONVERSATION_ADD),
        conversation_read=dialect.render(_CONVERSATION_READ),
        hour_mark=dialect.render(_HOUR_MARK),
        breaker_status_put=dialect.render(_BREAKER_STATUS_PUT),
        breaker_transition_insert=dialect.render(_BREAKER_TRANSITION_INSERT),
    )
