BEGIN TRANSACTION;
CREATE TABLE actions (
	id VARCHAR(200) NOT NULL, 
	open BOOLEAN NOT NULL, 
	intended_unix_s FLOAT NOT NULL, 
	stage_unix_s FLOAT NOT NULL, 
	body JSON NOT NULL, 
	CONSTRAINT pk_actions PRIMARY KEY (id)
);
INSERT INTO "actions" VALUES('a1',1,1000.0,1001.0,'{"id": "a1", "action": {"type": "Restart", "host": "eu-west-a", "region": "eu-west", "replica": "eu-west-a-0", "generation": 4, "graceful": true, "kind": "restart"}, "cause": "overload", "evidence": [["a", "b"]], "expectation": {"scope": "eu-west-a-0", "window_s": 45.0, "before": {"bad": 3.0, "total": 100.0, "peer_bad": 1.0, "peer_total": 100.0}, "slo": "fast"}, "stage": "ordered", "epoch": 1, "intended_unix_s": 1000.0, "stage_unix_s": 1001.0, "stage_deadline_unix_s": 1060.0, "order_keys": ["a1:eu-west-a-0"], "origin": "loop", "verdict": null, "detail": ""}');
INSERT INTO "actions" VALUES('a2',1,1000.0,1001.0,'{"id": "a2", "action": {"type": "ScaleIn", "host": "eu-west-a", "region": "eu-west", "replica": "eu-west-a-1", "generation": 4, "kind": "scale_in"}, "cause": "overload", "evidence": [["a", "b"]], "expectation": {"scope": "eu-west-a-0", "window_s": 45.0, "before": {"bad": 3.0, "total": 100.0, "peer_bad": 1.0, "peer_total": 100.0}, "slo": "fast"}, "stage": "ordered", "epoch": 1, "intended_unix_s": 1000.0, "stage_unix_s": 1001.0, "stage_deadline_unix_s": 1060.0, "order_keys": ["a2:eu-west-a-1"], "origin": "loop", "verdict": null, "detail": ""}');
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0001');
CREATE TABLE control (
	id INTEGER NOT NULL, 
	paused BOOLEAN NOT NULL, 
	traffic JSON, 
	slo_revision BIGINT NOT NULL, 
	CONSTRAINT pk_control PRIMARY KEY (id)
);
INSERT INTO "control" VALUES(1,0,'{"shares": [{"gateway": "eu-west", "region": "eu-west", "share": 1.0}], "cordoned": []}',0);
CREATE TABLE decisions (
	line INTEGER NOT NULL, 
	id VARCHAR(200) NOT NULL, 
	at_unix_s FLOAT NOT NULL, 
	epoch BIGINT NOT NULL, 
	kind VARCHAR(32) NOT NULL, 
	subject VARCHAR(200) NOT NULL, 
	summary TEXT NOT NULL, 
	evidence JSON NOT NULL, 
	action_id VARCHAR(200), 
	CONSTRAINT pk_decisions PRIMARY KEY (line), 
	CONSTRAINT uq_decisions_id UNIQUE (id)
);
INSERT INTO "decisions" VALUES(1,'d1',1000.0,1,'act','eu-west-a-0','s','[["a", "b"]]',NULL);
CREATE TABLE intents (
	line INTEGER NOT NULL, 
	id VARCHAR(200) NOT NULL, 
	at_unix_s FLOAT NOT NULL, 
	operator VARCHAR(200) NOT NULL, 
	verb VARCHAR(32) NOT NULL, 
	arguments JSON NOT NULL, 
	taken BOOLEAN NOT NULL, 
	idempotency_key VARCHAR(200), 
	CONSTRAINT pk_intents PRIMARY KEY (line), 
	CONSTRAINT uq_intents_id UNIQUE (id), 
	CONSTRAINT uq_intents_idempotency_key UNIQUE (idempotency_key)
);
CREATE TABLE lease (
	id INTEGER NOT NULL, 
	holder VARCHAR(200) NOT NULL, 
	epoch BIGINT NOT NULL, 
	expires_unix_s FLOAT NOT NULL, 
	CONSTRAINT pk_lease PRIMARY KEY (id)
);
INSERT INTO "lease" VALUES(1,'former',1,1015.0);
CREATE TABLE orders (
	"key" VARCHAR(200) NOT NULL, 
	host VARCHAR(200) NOT NULL, 
	open BOOLEAN NOT NULL, 
	not_after_unix_s FLOAT NOT NULL, 
	body JSON NOT NULL, 
	receipt JSON, 
	CONSTRAINT pk_orders PRIMARY KEY ("key")
);
INSERT INTO "orders" VALUES('a1:eu-west-a-0','eu-west-a',1,1060.0,'{"key": "a1:eu-west-a-0", "kind": "restart", "epoch": 1, "replica": "eu-west-a-0", "generation": 4, "not_after_unix_s": 1060.0, "profile": null, "grace_s": 0.0}',NULL);
INSERT INTO "orders" VALUES('a2:eu-west-a-1','eu-west-a',1,1060.0,'{"key": "a2:eu-west-a-1", "kind": "stop_replica", "epoch": 1, "replica": "eu-west-a-1", "generation": 4, "not_after_unix_s": 1060.0, "profile": null, "grace_s": 0.0}',NULL);
CREATE TABLE reflexes (
	line INTEGER NOT NULL, 
	host VARCHAR(200) NOT NULL, 
	boot_id VARCHAR(200) NOT NULL, 
	seq BIGINT NOT NULL, 
	CONSTRAINT pk_reflexes PRIMARY KEY (line), 
	CONSTRAINT uq_reflexes_host_boot_seq UNIQUE (host, boot_id, seq)
);
INSERT INTO "reflexes" VALUES(1,'eu-west-a','b1',7);
CREATE TABLE slos (
	id VARCHAR(200) NOT NULL, 
	revision BIGINT NOT NULL, 
	body JSON NOT NULL, 
	CONSTRAINT pk_slos PRIMARY KEY (id)
);
CREATE INDEX ix_decisions_at_unix_s ON decisions (at_unix_s);
CREATE INDEX ix_decisions_kind ON decisions (kind);
CREATE INDEX ix_decisions_subject ON decisions (subject);
CREATE INDEX ix_decisions_action_id ON decisions (action_id);
CREATE INDEX ix_actions_open ON actions (open, stage_unix_s);
CREATE INDEX ix_actions_intended_unix_s ON actions (intended_unix_s);
CREATE INDEX ix_orders_open ON orders (open);
CREATE INDEX ix_intents_taken ON intents (taken);
COMMIT;
