SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;
SET default_tablespace = '';
SET default_table_access_method = heap;
CREATE TABLE public.alembic_version (
    version_num character varying(32) NOT NULL
);
CREATE TABLE public.entities (
    tenant text NOT NULL,
    entity_ref text NOT NULL,
    kind text NOT NULL,
    namespace text NOT NULL,
    name text NOT NULL,
    entity jsonb NOT NULL,
    service jsonb NOT NULL,
    provenance jsonb NOT NULL,
    stale text[] DEFAULT '{}'::text[] NOT NULL,
    version bigint NOT NULL,
    content_hash text NOT NULL,
    merged_at timestamp with time zone NOT NULL,
    deleted_at timestamp with time zone,
    search tsvector GENERATED ALWAYS AS (((setweight(to_tsvector('simple'::regconfig, translate("left"(((name || ' '::text) || COALESCE((entity #>> '{metadata,title}'::text[]), ''::text)), 10000), '-_./:@'::text, '      '::text)), 'A'::"char") || setweight(to_tsvector('simple'::regconfig, translate("left"(((((((((((((((((((((kind || ' '::text) || namespace) || ' '::text) || COALESCE((entity #>> '{metadata,tags}'::text[]), ''::text)) || ' '::text) || COALESCE((entity #>> '{spec,owner}'::text[]), ''::text)) || ' '::text) || COALESCE((entity #>> '{spec,system}'::text[]), ''::text)) || ' '::text) || COALESCE((entity #>> '{spec,domain}'::text[]), ''::text)) || ' '::text) || COALESCE((entity #>> '{spec,type}'::text[]), ''::text)) || ' '::text) || COALESCE((entity #>> '{spec,lifecycle}'::text[]), ''::text)) || ' '::text) || COALESCE((entity #>> '{spec,profile,displayName}'::text[]), ''::text)) || ' '::text) || COALESCE((service ->> 'ownerTeam'::text), ''::text)) || ' '::text) || COALESCE((service ->> 'slackChannel'::text), ''::text)), 10000), '-_./:@'::text, '      '::text)), 'B'::"char")) || setweight(to_tsvector('simple'::regconfig, translate("left"(((COALESCE((entity #>> '{metadata,description}'::text[]), ''::text) || ' '::text) || COALESCE((service ->> 'description'::text), ''::text)), 10000), '-_./:@'::text, '      '::text)), 'C'::"char"))) STORED NOT NULL
);
CREATE TABLE public.entity_records (
    id uuid NOT NULL,
    tenant text NOT NULL,
    data_source text NOT NULL,
    entity_ref text NOT NULL,
    api_version text,
    kind text,
    metadata jsonb,
    spec jsonb,
    service jsonb,
    priority_score bigint,
    content_hash text NOT NULL,
    last_touched timestamp with time zone NOT NULL,
    expiration_date timestamp with time zone,
    deleted boolean NOT NULL,
    generation bigint NOT NULL,
    source_version bigint NOT NULL,
    change_id text NOT NULL,
    state_version bigint NOT NULL
);
CREATE TABLE public.sink_offsets (
    sink text NOT NULL,
    topic text NOT NULL,
    partition integer NOT NULL,
    next_offset bigint NOT NULL
);
INSERT INTO public.alembic_version VALUES ('0001');
INSERT INTO public.entities VALUES ('default', 'component:default/pay', 'component', 'default', 'pay', '{"kind": "Component", "spec": {}, "metadata": {"name": "pay"}, "apiVersion": "backstage.io/v1alpha1"}', '{}', '{"/kind": "git"}', '{}', 1876951040000001, '00000000000000000000000000000000', '2026-09-21 14:13:20.123+00', NULL, DEFAULT);
INSERT INTO public.entities VALUES ('default', 'component:default/rich', 'component', 'default', 'rich', '{"kind": "Component", "spec": {"n": 0.0000001}, "metadata": {"name": "rich", "tags": ["ä", "😀"]}}', '{"tier": "tier1", "onCall": {"until": null, "userId": "u"}}', '{"/service/tier": "cmdb", "/metadata/tags": ["git", "cmdb"]}', '{cmdb}', 1876951040000002, '00000000000000000000000000000000', '2026-09-21 14:13:20.123+00', NULL, DEFAULT);
INSERT INTO public.entity_records VALUES ('8ed364c1-43ef-50eb-8e84-6fcb4f2e5e16', 'default', 'cmdb', 'component:default/pay', NULL, 'Component', '{"name": "pay"}', '{}', '{"tier": "tier1"}', -5, '11111111111111111111111111111111', '2026-09-21 14:13:20+00', '2026-09-21 14:14:50+00', false, 9223372036854775807, -9223372036854775807, 'mainstem.changes.cmdb/3/4711', 1876951040000003);
INSERT INTO public.entity_records VALUES ('ef0a6afb-a7f0-5c95-af72-399552b6f900', 'default', 'git', 'component:default/pay', NULL, 'Component', '{"name": "pay"}', '{}', '{"tier": "tier1"}', 9223372036854775807, '11111111111111111111111111111111', '2026-09-21 14:13:20+00', 'infinity', false, 0, 1790000000000, 'mainstem.changes.git/3/4711', 1876951040000003);
INSERT INTO public.entity_records VALUES ('ff146f23-3b5b-5fc5-91d0-e5ae5c714d17', 'default', 'late', 'component:default/pay', NULL, NULL, NULL, NULL, NULL, NULL, '', '2026-09-21 14:13:20+00', NULL, true, 0, 1790000000000, 'mainstem.changes.late/3/4711', 1876951040000003);
INSERT INTO public.sink_offsets VALUES ('postgres', 'mainstem.entities', 0, 3);
INSERT INTO public.sink_offsets VALUES ('postgres', 'mainstem-processor-records-changelog', 0, 3);
ALTER TABLE ONLY public.alembic_version
    ADD CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num);
ALTER TABLE ONLY public.entities
    ADD CONSTRAINT entities_pkey PRIMARY KEY (tenant, entity_ref);
ALTER TABLE ONLY public.entity_records
    ADD CONSTRAINT entity_records_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.entity_records
    ADD CONSTRAINT entity_records_tenant_data_source_entity_ref_key UNIQUE (tenant, data_source, entity_ref);
ALTER TABLE ONLY public.sink_offsets
    ADD CONSTRAINT sink_offsets_pkey PRIMARY KEY (sink, topic, partition);
CREATE INDEX entities_deleted_at ON public.entities USING btree (deleted_at) WHERE (deleted_at IS NOT NULL);
CREATE INDEX entities_kind ON public.entities USING btree (tenant, kind, entity_ref) WHERE (deleted_at IS NULL);
CREATE INDEX entities_search ON public.entities USING gin (search);
CREATE INDEX entity_records_entity ON public.entity_records USING btree (tenant, entity_ref);
