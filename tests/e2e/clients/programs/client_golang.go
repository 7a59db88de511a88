// The example of client_golang's push package: last success only if it was one.
package main

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/push"
)

func work() (int, error) {
	file, err := os.Create(os.Getenv("MARK"))
	if err != nil {
		return 0, err
	}
	file.Close()
	if os.Getenv("FAILS") != "" {
		return 0, errors.New("the disk is gone")
	}
	return 42, nil
}

func main() {
	completion := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "db_backup_last_completion_timestamp_seconds", Help: "The timestamp of the last completion."})
	success := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "db_backup_last_success_timestamp_seconds", Help: "The timestamp of the last success."})
	duration := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "db_backup_duration_seconds", Help: "The duration of the last backup."})
	records := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "db_backup_records_processed", Help: "Records processed in the last backup."})
	registry := prometheus.NewRegistry()
	registry.MustRegister(completion, duration, records, collectors.NewGoCollector())
	pusher := push.New(os.Getenv("URL"), "client-golang").Gatherer(registry)

	start := time.Now()
	n, failure := work()
	records.Set(float64(n))
	duration.Set(time.Since(start).Seconds())
	completion.SetToCurrentTime()
	if failure == nil {
		pusher.Collector(success)
		success.SetToCurrentTime()
	}
	if err := pusher.Add(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(7)
	}
	if failure != nil {
		os.Exit(1)
	}
}
