// The types of the objects, and of the routes that the schema leaves open.
export type { IConfigMap as ConfigMap } from "kubernetes-models/v1/ConfigMap";
export type { ISecret as Secret } from "kubernetes-models/v1/Secret";
export type { IPrometheusRule as PrometheusRule } from "@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1/PrometheusRule";
export type { IServiceMonitor as ServiceMonitor } from "@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1/ServiceMonitor";
export type { IAlertmanagerConfig as AlertmanagerConfig } from "@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1alpha1/AlertmanagerConfig";
export type { IRoute as Route } from "@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1alpha1/Route";
export type { IScrapeConfig as ScrapeConfig } from "@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1alpha1/ScrapeConfig";
