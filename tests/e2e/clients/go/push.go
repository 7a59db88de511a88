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

// The example of the package push, with a failure where it is asked for.
func main() {
	completion := prometheus.NewGauge(prometheus.GaugeOpts{Name: "db_backup_last_completion_timestamp_seconds", Help: "The timestamp of the last completion of a DB backup, successful or not."})
	success := prometheus.NewGauge(prometheus.GaugeOpts{Name: "db_backup_last_success_timestamp_seconds", Help: "The timestamp of the last successful completion of a DB backup."})
	duration := prometheus.NewGauge(prometheus.GaugeOpts{Name: "db_backup_duration_seconds", Help: "The duration of the last DB backup in seconds."})
	records := prometheus.NewGauge(prometheus.GaugeOpts{Name: "db_backup_records_processed", Help: "The number of records processed in the last DB backup."})
	took := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "step_seconds", Buckets: []float64{0.1, 5}, NativeHistogramBucketFactor: 1.1}, []string{"step"})
	took.WithLabelValues("dump").(prometheus.ExemplarObserver).ObserveWithExemplar(2, prometheus.Labels{"trace": "a"})
	sizes := prometheus.NewSummary(prometheus.SummaryOpts{Name: "size_bytes", Objectives: map[float64]float64{0.5: 0.05}})
	sizes.Observe(7)
	retries := prometheus.NewCounter(prometheus.CounterOpts{Name: "retries_total"})
	retries.Add(2)
	registry := prometheus.NewRegistry()
	registry.MustRegister(completion, duration, records, took, sizes, retries, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	pusher := push.New(os.Args[1], "db_backup").Gatherer(registry)
	start := time.Now()
	var err error
	if len(os.Args) > 2 {
		err = errors.New("failed")
	}
	records.Set(42)
	duration.Set(time.Since(start).Seconds() + 1.5)
	completion.SetToCurrentTime()
	if err == nil {
		pusher.Collector(success)
		success.SetToCurrentTime()
	}
	if err := pusher.Add(); err != nil {
		fmt.Println("Could not push:", err)
		os.Exit(1)
	}
}
